// The Fibonacci numbers, by calling oneself twice.
#include <stdint.h>

static int64_t fib(int64_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    return fib(n);
}
