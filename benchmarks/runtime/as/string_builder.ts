// n numbers, joined to one text: appending to a string copies all of it here, so the parts are kept and joined.

export function run(n: i64): i64 {
  const parts = new Array<string>();
  for (let i: i64 = 0; i < n; i++) parts.push(i.toString());
  const text = parts.join("");
  let hash: i64 = 0;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + <i64>text.charCodeAt(i)) & 0x7fffffff;
  return <i64>text.length * 0x80000000 + hash;
}
