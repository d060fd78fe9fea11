// Pancakes: for all permutations of n, how often the first k have to be turned over until 1 is on top.
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static int count_flips(int *pancakes) {
    int flips = 0;
    for (;;) {
        int top = pancakes[0];
        if (top == 0) return flips;
        int low = 0, high = top;
        while (low < high) {
            int kept = pancakes[low];
            pancakes[low] = pancakes[high];
            pancakes[high] = kept;
            low++;
            high--;
        }
        flips++;
    }
}

__attribute__((export_name("run"))) int64_t run(int64_t size) {
    int n = (int)size;
    int *permutation = malloc((size_t)n * sizeof(int));
    int *pancakes = malloc((size_t)n * sizeof(int));
    int *counts = calloc((size_t)n, sizeof(int));
    for (int i = 0; i < n; i++) permutation[i] = i;
    int most = 0;
    int64_t checksum = 0;
    bool even = true;
    int r = n;
    for (;;) {
        while (r > 1) {
            counts[r - 1] = r;
            r--;
        }
        for (int i = 0; i < n; i++) pancakes[i] = permutation[i];
        int flips = count_flips(pancakes);
        if (flips > most) most = flips;
        checksum += even ? flips : -flips;
        for (;;) {
            if (r == n) {
                free(permutation);
                free(pancakes);
                free(counts);
                return checksum * 100 + most;
            }
            int first = permutation[0];
            for (int i = 0; i < r; i++) permutation[i] = permutation[i + 1];
            permutation[r] = first;
            counts[r]--;
            if (counts[r] > 0) break;
            r++;
        }
        even = !even;
    }
}
