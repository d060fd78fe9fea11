// A list of 1,000 shapes of four kinds; n times the area of them all.

const SHAPES: i32 = 1000;

abstract class Shape {
  abstract area(): f64;
}

class Circle extends Shape {
  constructor(private radius: f64) {
    super();
  }

  area(): f64 {
    return 3.14159265358979 * this.radius * this.radius;
  }
}

class Square extends Shape {
  constructor(private side: f64) {
    super();
  }

  area(): f64 {
    return this.side * this.side;
  }
}

class Rectangle extends Shape {
  constructor(
    private width: f64,
    private height: f64,
  ) {
    super();
  }

  area(): f64 {
    return this.width * this.height;
  }
}

class Triangle extends Shape {
  constructor(
    private a: f64,
    private b: f64,
    private c: f64,
  ) {
    super();
  }

  area(): f64 {
    const half = (this.a + this.b + this.c) * 0.5;
    return Math.sqrt(half * (half - this.a) * (half - this.b) * (half - this.c));
  }
}

function draw(): Array<Shape> {
  const shapes = new Array<Shape>();
  let random: i64 = 42;
  for (let i = 0; i < SHAPES; i++) {
    random = (random * 1103515245 + 12345) & 0x7fffffff;
    const size = <f64>((i % 10) + 1);
    switch (<i32>((random / 65536) % 4)) {
      case 0: {
        shapes.push(new Circle(size));
        break;
      }
      case 1: {
        shapes.push(new Square(size));
        break;
      }
      case 2: {
        shapes.push(new Rectangle(size, size + 1.0));
        break;
      }
      default: {
        shapes.push(new Triangle(size, size + 1.0, size + 1.5));
      }
    }
  }
  return shapes;
}

export function run(n: i64): f64 {
  const shapes = draw();
  let total: f64 = 0.0;
  for (let i: i64 = 0; i < n; i++) {
    for (let j = 0; j < shapes.length; j++) total += shapes[j].area();
  }
  return total;
}
