// Functions with a context, called through pointers.
#include <stdint.h>
#include <stdlib.h>

#define FUNCTIONS 10

typedef struct {
    int64_t (*call)(const void *context, int64_t x);
    void *context;
} Function;

typedef struct {
    int64_t odd;
    int64_t value;
} Count;

static int64_t add(const void *by, int64_t x) {
    return (x + *(const int64_t *)by) & 0xFFFFFFFF;
}

static int64_t scale(const void *by, int64_t x) {
    return (x * *(const int64_t *)by) & 0xFFFFFFFF;
}

static int64_t mix(const void *by, int64_t x) {
    return x ^ *(const int64_t *)by;
}

static int64_t increment(const void *context, int64_t x) {
    (void)context;
    return x + 1;
}

static Function choose(int64_t kind, int64_t by) {
    int64_t *context = malloc(sizeof(int64_t));
    *context = by;
    switch (kind) {
    case 0:
        return (Function){add, context};
    case 1:
        return (Function){scale, context};
    case 2:
        return (Function){mix, context};
    default:
        return (Function){increment, context};
    }
}

static void count_odd(void *context, Function f) {
    Count *count = context;
    count->odd += f.call(f.context, count->value) & 1;
}

static void each(const Function *functions, size_t length, void (*act)(void *, Function), void *context) {
    for (size_t i = 0; i < length; i++) act(context, functions[i]);
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    Function functions[FUNCTIONS];
    int64_t random = n;
    for (int i = 0; i < FUNCTIONS; i++) {
        random = (random * 1103515245 + 12345) & 0x7FFFFFFF;
        functions[i] = choose(random / 65536 % 4, random / 1024 % 100 + 1);
    }
    Count count = {0, 1};
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < FUNCTIONS; j++) count.value = functions[j].call(functions[j].context, count.value);
        each(functions, FUNCTIONS, count_odd, &count);
    }
    for (int j = 0; j < FUNCTIONS; j++) free(functions[j].context);
    return count.value * 0x10000000 + count.odd;
}
