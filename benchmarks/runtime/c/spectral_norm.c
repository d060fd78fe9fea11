// The largest singular value of an infinite matrix, from its first n rows and columns.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static double *filled(int n, double value) {
    double *xs = malloc((size_t)n * sizeof(double));
    for (int i = 0; i < n; i++) xs[i] = value;
    return xs;
}

static double element(int i, int j) {
    return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1);
}

static void multiply(int n, const double *v, double *result) {
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++) sum += element(i, j) * v[j];
        result[i] = sum;
    }
}

static void multiply_transposed(int n, const double *v, double *result) {
    for (int i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = 0; j < n; j++) sum += element(j, i) * v[j];
        result[i] = sum;
    }
}

static void multiply_both(int n, const double *v, double *between, double *result) {
    multiply(n, v, between);
    multiply_transposed(n, between, result);
}

__attribute__((export_name("run"))) double run(int64_t size) {
    int n = (int)size;
    double *u = filled(n, 1.0);
    double *v = filled(n, 0.0);
    double *between = filled(n, 0.0);
    for (int i = 0; i < 10; i++) {
        multiply_both(n, u, between, v);
        multiply_both(n, v, between, u);
    }
    double vbv = 0.0, vv = 0.0;
    for (int i = 0; i < n; i++) {
        vbv += u[i] * v[i];
        vv += v[i] * v[i];
    }
    free(u);
    free(v);
    free(between);
    return sqrt(vbv / vv);
}
