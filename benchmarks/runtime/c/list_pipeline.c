// n times map, filter and fold over 1,000 numbers, each as a function that gives a new list.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define NUMBERS 1000

typedef struct {
    int64_t *items;
    size_t length;
} List;

static List map(List list, int64_t (*f)(int64_t)) {
    List made = {malloc(list.length * sizeof(int64_t)), list.length};
    for (size_t i = 0; i < list.length; i++) made.items[i] = f(list.items[i]);
    return made;
}

static List filter(List list, bool (*f)(int64_t)) {
    List made = {malloc(list.length * sizeof(int64_t)), 0};
    for (size_t i = 0; i < list.length; i++) {
        if (f(list.items[i])) made.items[made.length++] = list.items[i];
    }
    return made;
}

static int64_t fold(List list, int64_t start, int64_t (*f)(int64_t, int64_t)) {
    for (size_t i = 0; i < list.length; i++) start = f(start, list.items[i]);
    return start;
}

static int64_t thrice_plus_one(int64_t x) {
    return x * 3 + 1;
}

static bool is_even(int64_t x) {
    return x % 2 == 0;
}

static int64_t add(int64_t sum, int64_t x) {
    return sum + x;
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    List numbers = {malloc(NUMBERS * sizeof(int64_t)), NUMBERS};
    for (int64_t i = 0; i < NUMBERS; i++) numbers.items[i] = i;
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        numbers.items[i % NUMBERS] += 1;
        List mapped = map(numbers, thrice_plus_one);
        List filtered = filter(mapped, is_even);
        total += fold(filtered, 0, add);
        free(mapped.items);
        free(filtered.items);
    }
    free(numbers.items);
    return total;
}
