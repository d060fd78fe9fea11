/** The graph as it comes from dolbuild, and questions about it. Nodes and edges are numbers: their places in the arrays. */

export const KINDS = ["system", "spirit", "module", "test", "package"] as const;
export type Kind = (typeof KINDS)[number];

export const OUTCOMES = ["failed", "working", "ran", "remote-hit", "hit", "up-to-date", "skipped", ""] as const;
/** What happened to a node in the last run; empty where it was never done, or has no action of its own. */
export type Outcome = (typeof OUTCOMES)[number];

export interface Raw {
  format: number;
  title: string;
  live: boolean;
  /** name, kind, place of the head of its group, file, seconds of its action (0: not known), outcome */
  nodes: [string, Kind, number, string, number, Outcome][];
  /** source, target, why, text, line in the source's file (0: not known) */
  edges: [number, number, string, string, number][];
  /** actions that wait for each other, the first one first: name, seconds */
  critical: [string, number][];
  run: { planned: number; seconds: number; failed: boolean } | null;
}

export interface Node {
  readonly id: number;
  readonly name: string;
  readonly kind: Kind;
  readonly group: number;
  readonly file: string;
  seconds: number;
  outcome: Outcome;
}

export interface Edge {
  readonly source: number;
  readonly target: number;
  readonly why: string;
  readonly text: string;
  readonly line: number;
}

export type Direction = "needs" | "needed by" | "both";

export class Graph {
  readonly nodes: Node[];
  readonly edges: Edge[];
  readonly byName = new Map<string, number>();
  /** the edges that leave each node, and those that lead to it */
  readonly needs: number[][];
  readonly neededBy: number[][];

  constructor(readonly raw: Raw) {
    this.nodes = raw.nodes.map(([name, kind, group, file, seconds, outcome], id) => ({
      id, name, kind, group, file, seconds, outcome,
    }));
    this.edges = raw.edges.map(([source, target, why, text, line]) => ({ source, target, why, text, line }));
    this.needs = this.nodes.map(() => []);
    this.neededBy = this.nodes.map(() => []);
    for (const node of this.nodes) this.byName.set(node.name, node.id);
    this.edges.forEach((edge, id) => {
      this.needs[edge.source]!.push(id);
      this.neededBy[edge.target]!.push(id);
    });
  }

  node(id: number): Node {
    return this.nodes[id]!;
  }

  edge(id: number): Edge {
    return this.edges[id]!;
  }

  /** The nodes at most so many edges away, with their distance; without a depth, all that are reached. */
  reach(from: number, direction: Direction, depth = Infinity): Map<number, number> {
    const found = new Map([[from, 0]]);
    const walk = (edges: number[][], end: "source" | "target"): void => {
      let front = [from];
      for (let distance = 1; front.length > 0 && distance <= depth; distance++) {
        const next: number[] = [];
        for (const id of front)
          for (const edge of edges[id]!) {
            const other = this.edge(edge)[end];
            if (found.get(other) === undefined) {
              found.set(other, distance);
              next.push(other);
            }
          }
        front = next;
      }
    };
    if (direction !== "needed by") walk(this.needs, "target");
    if (direction !== "needs") walk(this.neededBy, "source");
    return found;
  }

  /** A shortest chain of edges by which one node needs another; null where it does not. */
  path(from: number, to: number): number[] | null {
    const by = new Map<number, number>();
    let front = [from];
    while (front.length > 0 && !by.has(to)) {
      const next: number[] = [];
      for (const id of front)
        for (const edge of this.needs[id]!) {
          const other = this.edge(edge).target;
          if (other !== from && !by.has(other)) {
            by.set(other, edge);
            next.push(other);
          }
        }
      front = next;
    }
    if (!by.has(to)) return null;
    const path: number[] = [];
    for (let at = to; at !== from; at = this.edge(path[0]!).source) path.unshift(by.get(at)!);
    return path;
  }

  /** The edges between some nodes, one for each pair. */
  between(nodes: ReadonlySet<number> | ReadonlyMap<number, unknown>): number[] {
    const found: number[] = [];
    for (const id of nodes.keys()) {
      const seen = new Set<number>();
      for (const edge of this.needs[id]!) {
        const { target } = this.edge(edge);
        if (nodes.has(target) && !seen.has(target)) {
          seen.add(target);
          found.push(edge);
        }
      }
    }
    return found;
  }

  /** Nodes whose names have all words of a text; the best first: exact ends, then short names. */
  search(text: string, limit: number): number[] {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return [];
    const found: [number, number, number][] = [];
    for (const node of this.nodes) {
      const name = node.name.toLowerCase();
      if (!words.every((word) => name.includes(word))) continue;
      const last = words.at(-1)!;
      const rank = name.endsWith(`:${last}`) || name.endsWith(`/${last}`) ? 0 : /[:/]/.test(name[name.indexOf(last) - 1] ?? ":") ? 1 : 2;
      found.push([rank, name.length, node.id]);
    }
    found.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    return found.slice(0, limit).map(([, , id]) => id);
  }
}

/** The part of a name after its kind. */
export function plain(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

/** What a node is called inside of its group. */
export function short(node: Node): string {
  const name = plain(node.name);
  return node.kind === "module" || node.kind === "test" ? name.slice(name.indexOf("/") + 1) : name;
}

export function time(seconds: number): string {
  if (seconds < 0.0005) return "< 1 ms";
  if (seconds < 0.995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  return seconds < 59.5 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")} min`;
}
