// A map from numbers to numbers: n updates of random keys, then n lookups, of which half find nothing.

export function run(n: i64): i64 {
  const counts = new Map<i64, i64>();
  let random: i64 = 42;
  for (let i: i64 = 0; i < n; i++) {
    random = (random * 1103515245 + 12345) & 0x7fffffff;
    const key = ((random / 8) % n) * 2;
    counts.set(key, (counts.has(key) ? counts.get(key) : 0) + i);
  }
  let total: i64 = counts.size;
  for (let key: i64 = 0; key < n; key++) {
    total += counts.has(key) ? counts.get(key) : 1;
  }
  return total;
}
