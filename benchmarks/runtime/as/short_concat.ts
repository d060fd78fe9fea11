// 2n short texts, joined from others and dropped.

export function run(n: i64): i64 {
  let total: i64 = 0;
  for (let i: i64 = 0; i < n; i++) {
    const name = "item " + i.toString();
    const line = name + ";";
    total += line.length;
    if (line.endsWith("7;")) total += 1;
  }
  return total;
}
