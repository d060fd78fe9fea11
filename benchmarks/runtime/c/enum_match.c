// An array of 1,000 shapes of four kinds; n times the area of them all.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define SHAPES 1000

typedef struct {
    enum { CIRCLE, SQUARE, RECTANGLE, TRIANGLE } kind;
    union {
        struct { double radius; } circle;
        struct { double side; } square;
        struct { double width, height; } rectangle;
        struct { double a, b, c; } triangle;
    };
} Shape;

static double area(const Shape *shape) {
    switch (shape->kind) {
    case CIRCLE:
        return 3.14159265358979 * shape->circle.radius * shape->circle.radius;
    case SQUARE:
        return shape->square.side * shape->square.side;
    case RECTANGLE:
        return shape->rectangle.width * shape->rectangle.height;
    default: {
        double a = shape->triangle.a, b = shape->triangle.b, c = shape->triangle.c;
        double half = (a + b + c) * 0.5;
        return sqrt(half * (half - a) * (half - b) * (half - c));
    }
    }
}

static Shape *draw(void) {
    Shape *shapes = malloc(SHAPES * sizeof(Shape));
    int64_t random = 42;
    for (int i = 0; i < SHAPES; i++) {
        random = (random * 1103515245 + 12345) & 0x7FFFFFFF;
        double size = i % 10 + 1;
        switch (random / 65536 % 4) {
        case 0:
            shapes[i] = (Shape){.kind = CIRCLE, .circle = {size}};
            break;
        case 1:
            shapes[i] = (Shape){.kind = SQUARE, .square = {size}};
            break;
        case 2:
            shapes[i] = (Shape){.kind = RECTANGLE, .rectangle = {size, size + 1.0}};
            break;
        default:
            shapes[i] = (Shape){.kind = TRIANGLE, .triangle = {size, size + 1.0, size + 1.5}};
        }
    }
    return shapes;
}

__attribute__((export_name("run"))) double run(int64_t n) {
    Shape *shapes = draw();
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < SHAPES; j++) total += area(&shapes[j]);
    }
    free(shapes);
    return total;
}
