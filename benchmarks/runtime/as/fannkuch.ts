// Pancakes: for all permutations of n, how often the first k have to be turned over until 1 is on top.

function countFlips(pancakes: StaticArray<i32>): i32 {
  let flips = 0;
  while (true) {
    const top = pancakes[0];
    if (top == 0) return flips;
    let low = 0;
    let high = top;
    while (low < high) {
      const kept = pancakes[low];
      pancakes[low] = pancakes[high];
      pancakes[high] = kept;
      low++;
      high--;
    }
    flips++;
  }
}

export function run(size: i64): i64 {
  const n = <i32>size;
  const permutation = new StaticArray<i32>(n);
  const pancakes = new StaticArray<i32>(n);
  const counts = new StaticArray<i32>(n);
  for (let i = 0; i < n; i++) permutation[i] = i;
  let most = 0;
  let checksum: i64 = 0;
  let even = true;
  let r = n;
  while (true) {
    while (r > 1) {
      counts[r - 1] = r;
      r--;
    }
    for (let i = 0; i < n; i++) pancakes[i] = permutation[i];
    const flips = countFlips(pancakes);
    most = max(most, flips);
    checksum += even ? flips : -flips;
    while (true) {
      if (r == n) return checksum * 100 + most;
      const first = permutation[0];
      for (let i = 0; i < r; i++) permutation[i] = permutation[i + 1];
      permutation[r] = first;
      counts[r]--;
      if (counts[r] > 0) break;
      r++;
    }
    even = !even;
  }
}
