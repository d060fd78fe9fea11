// The Fibonacci numbers, by calling oneself twice.

function fib(n: i64): i64 {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

export function run(n: i64): i64 {
  return fib(n);
}
