/** Colours and signs. What a colour says is always said by a sign, a shape or a word as well. */

import { KINDS, OUTCOMES, type Graph, type Node } from "./data.ts";
import type { Colour } from "./state.ts";

export interface Theme {
  isDark: boolean;
  text: string;
  faint: string;
  edge: string;
  box: string;
  boxLine: string;
  page: string;
  needs: string;
  neededBy: string;
}

const LIGHT: Theme = {
  isDark: false, text: "#1b1f24", faint: "#d3d8de", edge: "#b9c0c9", box: "#f6f8fa", boxLine: "#c9d1d9", page: "#ffffff",
  needs: "#0550ae", neededBy: "#a04100",
};
const DARK: Theme = {
  isDark: true, text: "#e6edf3", faint: "#30363d", edge: "#47505a", box: "#151b23", boxLine: "#3d444d", page: "#0d1117",
  needs: "#79b8ff", neededBy: "#ffab70",
};

export function theme(isDark: boolean): Theme {
  return isDark ? DARK : LIGHT;
}

export interface Entry {
  key: string;
  sign: string;
  word: string;
  light: string;
  dark: string;
}

const entry = (key: string, sign: string, word: string, light: string, dark: string): Entry => ({ key, sign, word, light, dark });

const OF_KIND: Record<string, Entry> = {
  system: entry("system", "⬢", "System", "#9a3412", "#ff9b6a"),
  spirit: entry("spirit", "■", "Spirit", "#0550ae", "#79b8ff"),
  module: entry("module", "●", "module", "#0f766e", "#5fd0b5"),
  test: entry("test", "○", "test", "#8a3ffc", "#c8a6ff"),
  package: entry("package", "◆", "package from elsewhere", "#7d5700", "#e3b341"),
};

const OF_OUTCOME: Record<string, Entry> = {
  failed: entry("failed", "✗", "failed", "#c1121f", "#ff7b72"),
  working: entry("working", "…", "being done", "#b35900", "#ffc680"),
  ran: entry("ran", "▶", "ran", "#a36b00", "#e3b341"),
  "remote-hit": entry("remote-hit", "☁", "from the remote cache", "#0550ae", "#79b8ff"),
  hit: entry("hit", "↺", "from the store", "#0f766e", "#5fd0b5"),
  "up-to-date": entry("up-to-date", "✓", "up to date", "#6e7781", "#8b949e"),
  skipped: entry("skipped", "⊘", "skipped", "#8a3ffc", "#c8a6ff"),
  "": entry("none", "·", "never done, or not here", "#8c959f", "#6e7681"),
};

const OF_TIME: Entry[] = [
  entry("t0", "", "not known", "#8c959f", "#6e7681"),
  entry("t1", "▁", "below 10 ms", "#7aa6c2", "#3f6b86"),
  entry("t2", "▃", "10 to 100 ms", "#3f83b0", "#5b9dc4"),
  entry("t3", "▅", "0.1 to 1 s", "#8a5a00", "#d9a441"),
  entry("t4", "▇", "1 s and more", "#9a1b1b", "#ff8f80"),
];

/** The entry of the legend that a node belongs to. */
export function entryOf(node: Node, colour: Colour): Entry {
  if (colour === "kind") return OF_KIND[node.kind]!;
  if (colour === "run") return OF_OUTCOME[node.outcome]!;
  const { seconds } = node;
  return OF_TIME[seconds <= 0 ? 0 : seconds < 0.01 ? 1 : seconds < 0.1 ? 2 : seconds < 1 ? 3 : 4]!;
}

/** The legend, with how many nodes each entry has; those without any are left out. */
export function legend(graph: Graph, colour: Colour): [Entry, number][] {
  const counts = new Map<string, number>();
  for (const node of graph.nodes) {
    const { key } = entryOf(node, colour);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const all = colour === "kind" ? KINDS.map((kind) => OF_KIND[kind]!) : colour === "run" ? OUTCOMES.map((one) => OF_OUTCOME[one]!) : OF_TIME;
  return all.filter((one) => counts.has(one.key)).map((one) => [one, counts.get(one.key)!]);
}

export function outcomeWord(node: Node): string {
  return OF_OUTCOME[node.outcome]!.word;
}

export function kindWord(node: Node): string {
  return OF_KIND[node.kind]!.word;
}
