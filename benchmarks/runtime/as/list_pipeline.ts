// n times `map`, `filter` and `reduce` over 1,000 numbers.

const NUMBERS: i64 = 1000;

export function run(n: i64): i64 {
  const numbers = new Array<i64>();
  for (let i: i64 = 0; i < NUMBERS; i++) numbers.push(i);
  let total: i64 = 0;
  for (let i: i64 = 0; i < n; i++) {
    numbers[<i32>(i % NUMBERS)] += 1;
    total += numbers
      .map<i64>((x) => x * 3 + 1)
      .filter((x) => x % 2 == 0)
      .reduce<i64>((sum, x) => sum + x, 0);
  }
  return total;
}
