// 2n short texts, joined from others and freed.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"

static char *join(const char *left, const char *right) {
    size_t left_length = strlen(left), right_length = strlen(right);
    char *joined = malloc(left_length + right_length + 1);
    memcpy(joined, left, left_length);
    memcpy(joined + left_length, right, right_length + 1);
    return joined;
}

static int ends_with(const char *text, size_t length, const char *end) {
    size_t end_length = strlen(end);
    return length >= end_length && memcmp(text + length - end_length, end, end_length) == 0;
}

__attribute__((export_name("run"))) int64_t run(int64_t n) {
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        char digits[DIGITS + 1];
        digits[write_digits(digits, i)] = '\0';
        char *name = join("item ", digits);
        char *line = join(name, ";");
        size_t length = strlen(line);
        total += (int64_t)length;
        if (ends_with(line, length, "7;")) total += 1;
        free(name);
        free(line);
    }
    return total;
}
