// The largest singular value of an infinite matrix, from its first n rows and columns.

function filled(n: i32, value: f64): StaticArray<f64> {
  return new StaticArray<f64>(n).fill(value);
}

function element(i: i32, j: i32): f64 {
  return 1.0 / <f64>(((i + j) * (i + j + 1)) / 2 + i + 1);
}

function multiply(n: i32, v: StaticArray<f64>, result: StaticArray<f64>): void {
  for (let i = 0; i < n; i++) {
    let sum: f64 = 0.0;
    for (let j = 0; j < n; j++) sum += element(i, j) * v[j];
    result[i] = sum;
  }
}

function multiplyTransposed(n: i32, v: StaticArray<f64>, result: StaticArray<f64>): void {
  for (let i = 0; i < n; i++) {
    let sum: f64 = 0.0;
    for (let j = 0; j < n; j++) sum += element(j, i) * v[j];
    result[i] = sum;
  }
}

function multiplyBoth(v: StaticArray<f64>, between: StaticArray<f64>, result: StaticArray<f64>): void {
  const n = v.length;
  multiply(n, v, between);
  multiplyTransposed(n, between, result);
}

export function run(n: i64): f64 {
  const size = <i32>n;
  const u = filled(size, 1.0);
  const v = filled(size, 0.0);
  const between = filled(size, 0.0);
  for (let i = 0; i < 10; i++) {
    multiplyBoth(u, between, v);
    multiplyBoth(v, between, u);
  }
  let vbv: f64 = 0.0;
  let vv: f64 = 0.0;
  for (let i = 0; i < size; i++) {
    vbv += u[i] * v[i];
    vv += v[i] * v[i];
  }
  return Math.sqrt(vbv / vv);
}
