// Perfect binary trees, built and counted.

class Node {
  constructor(
    public left: Node | null,
    public right: Node | null,
  ) {}

  count(): i64 {
    let total: i64 = 1;
    const left = this.left;
    if (left) total += left.count();
    const right = this.right;
    if (right) total += right.count();
    return total;
  }
}

function build(depth: i64): Node {
  return depth == 0 ? new Node(null, null) : new Node(build(depth - 1), build(depth - 1));
}

export function run(n: i64): i64 {
  let total = build(n + 1).count();
  const lasting = build(n);
  for (let depth: i64 = 4; depth <= n; depth += 4) {
    const rounds: i64 = 1 << (n - depth + 4);
    for (let i: i64 = 0; i < rounds; i++) total += build(depth).count();
  }
  return total + lasting.count();
}
