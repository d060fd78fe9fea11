// A map from words to numbers: how often each of 20,000 words occurs among n.

const WORDS: i64 = 20_000;

function words(): Array<string> {
  const made = new Array<string>();
  for (let i: i64 = 0; i < WORDS; i++) made.push("word" + ((i * 7919) % WORDS).toString());
  return made;
}

export function run(n: i64): i64 {
  const counts = new Map<string, i64>();
  const written = words();
  let random: i64 = 42;
  for (let i: i64 = 0; i < n; i++) {
    random = (random * 1103515245 + 12345) & 0x7fffffff;
    const word = written[<i32>((random / 8) % WORDS)];
    counts.set(word, (counts.has(word) ? counts.get(word) : 0) + 1);
  }
  let total: i64 = counts.size;
  const asked = words();
  for (let i = 0; i < asked.length; i++) {
    const word = asked[i];
    if (counts.has(word)) {
      const count = counts.get(word);
      total += count * count;
    } else {
      total += 1;
    }
  }
  return total;
}
