// A number as text; `snprintf` would spend most of its time on its format.
#ifndef DIGITS_H
#define DIGITS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIGITS 21

/// Writes at most DIGITS characters, without a zero at the end; gives their number.
static inline size_t write_digits(char *to, int64_t value) {
    char reversed[DIGITS];
    size_t length = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        reversed[length++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (value < 0) reversed[length++] = '-';
    for (size_t i = 0; i < length; i++) to[i] = reversed[length - 1 - i];
    return length;
}

#endif
