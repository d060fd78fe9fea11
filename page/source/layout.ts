/** Where nodes are drawn: what needs others left of them, groups in boxes. Layers and their order are d3-dag's. */

import {
  coordGreedy, coordSimplex, decrossDfs, decrossTwoLayer, graphConnect, layeringLongestPath, layeringSimplex, sugiyama, twolayerAgg,
} from "d3-dag";

export interface Size {
  width: number;
  height: number;
}

export interface Layout extends Size {
  /** the middle of each node, in the order that they were given in */
  x: number[];
  y: number[];
}

/** What the worker is asked: groups of nodes, and edges between nodes, all by number. */
export interface Question {
  nodes: number;
  /** the box of each node */
  box: number[];
  /** how wide the name of each node is */
  width: number[];
  boxes: number;
  /** whether the first node of each box is its head, which stands at its top */
  headed: boolean;
  edges: [number, number][];
}

export interface Box extends Size {
  x: number;
  y: number;
}

export interface Answer {
  x: Float32Array;
  y: Float32Array;
  boxes: Box[];
}

const GAP = 30;
const SMALL = 120;
const LARGE = 600;
const ASPECT = 1.25;
const CELL = { least: 120, height: 17 };
/** from the left of a cell to the middle of its node */
const DOT = 6;
export const HEAD = 26;
const PADDING = 12;

/** A layered layout. Above some hundred nodes the layers are folded, so that the whole has the shape of a screen. */
export function layered(sizes: readonly Size[], edges: readonly (readonly [number, number])[], gap = GAP): Layout {
  const count = sizes.length;
  const linked = new Set<number>();
  const links: [string, string][] = [];
  for (const [from, to] of edges)
    if (from !== to) {
      links.push([String(from), String(to)]);
      linked.add(from).add(to);
    }
  const alone = sizes.map((_, id) => id).filter((id) => !linked.has(id));
  if (links.length === 0) return folded(sizes, [alone], gap);
  const dag = graphConnect()(links);
  const isSmall = linked.size <= SMALL;
  const size = (node: { data: string }): readonly [number, number] => {
    const one = sizes[Number(node.data)]!;
    return [one.height + gap / 2, one.width + gap]; // top down: turned by us
  };
  const decross = linked.size > LARGE ? decrossDfs() : decrossTwoLayer().order(twolayerAgg()).passes(isSmall ? 24 : 4);
  const base = sugiyama().decross(decross).nodeSize(size);
  const result = isSmall
    ? base.layering(layeringSimplex()).coord(coordSimplex())(dag)
    : base.layering(layeringLongestPath()).coord(coordGreedy())(dag);
  const x = new Array<number>(count).fill(0);
  const y = new Array<number>(count).fill(0);
  const placed = [...dag.nodes()];
  for (const node of placed) {
    x[Number(node.data)] = node.y;
    y[Number(node.data)] = node.x;
  }
  if (isSmall) {
    const rest = folded(alone.map((id) => sizes[id]!), [alone.map((_, at) => at)], gap);
    alone.forEach((id, at) => {
      x[id] = rest.x[at]!;
      y[id] = result.width + gap + rest.y[at]!;
    });
    const height = result.width + (alone.length ? gap + rest.height : 0);
    return { x, y, width: Math.max(result.height, rest.width), height };
  }
  const layers = new Map<number, number[]>();
  for (const node of placed) {
    const id = Number(node.data);
    const layer = Math.round(node.y);
    layers.has(layer) ? layers.get(layer)!.push(id) : layers.set(layer, [id]);
  }
  const ordered = [...layers.entries()].sort((a, b) => a[0] - b[0]).map(([, ids]) => ids.sort((a, b) => y[a]! - y[b]!));
  if (alone.length) ordered.push(alone);
  return folded(sizes, ordered, gap);
}

/** Each layer in as many columns as make the whole look like a screen. */
function folded(sizes: readonly Size[], layers: readonly number[][], gap: number): Layout {
  const x = new Array<number>(sizes.length).fill(0);
  const y = new Array<number>(sizes.length).fill(0);
  const total = sizes.reduce((sum, one) => sum + (one.width + gap) * (one.height + gap / 2), 0);
  const tall = Math.sqrt(total / ASPECT) * 1.05;
  let left = 0;
  let height = 0;
  for (const layer of layers) {
    let top = 0;
    let wide = 0;
    for (const id of layer) {
      const { width, height: high } = sizes[id]!;
      if (top > 0 && top + high > tall) {
        left += wide + gap;
        top = 0;
        wide = 0;
      }
      x[id] = left + width / 2;
      y[id] = top + high / 2;
      top += high + gap / 2;
      wide = Math.max(wide, width);
      height = Math.max(height, top);
    }
    left += wide + gap;
  }
  return { x, y, width: Math.max(0, left - gap), height: Math.max(0, height - gap / 2) };
}

/** Nodes in boxes: each box inside, then the boxes among themselves. */
export function boxed(question: Question): Answer {
  const first = question.headed ? 1 : 0;
  const members: number[][] = Array.from({ length: question.boxes }, () => []);
  for (let id = 0; id < question.nodes; id++) members[question.box[id]!]!.push(id);
  const place = new Int32Array(question.nodes);
  for (const ids of members) ids.forEach((id, at) => (place[id] = at));
  const inside: [number, number][][] = Array.from({ length: question.boxes }, () => []);
  const pairs = new Set<number>();
  const outside: [number, number][] = [];
  for (const [from, to] of question.edges) {
    const a = question.box[from]!;
    const b = question.box[to]!;
    if (a === b) {
      if (place[from]! >= first && place[to]! >= first) inside[a]!.push([place[from]! - first, place[to]! - first]);
    } else if (!pairs.has(a * question.boxes + b)) {
      pairs.add(a * question.boxes + b);
      outside.push([a, b]);
    }
  }
  const inner = members.map((ids, box) => layered(ids.slice(first).map((id) => ({ width: question.width[id]!, height: CELL.height })), inside[box]!, 10));
  const sizes = inner.map(({ width, height }, box) => ({
    width: Math.max(width, CELL.least, question.headed ? question.width[members[box]![0]!]! + HEAD : 0) + 2 * PADDING,
    height: height + 2 * PADDING + HEAD,
  }));
  const outer = layered(sizes, outside);
  const x = new Float32Array(question.nodes);
  const y = new Float32Array(question.nodes);
  const boxes: Box[] = members.map((ids, box) => {
    const { width, height } = sizes[box]!;
    const left = outer.x[box]! - width / 2;
    const top = outer.y[box]! - height / 2;
    ids.forEach((id, at) => {
      const isHead = at < first;
      // a node stands at the left of its name
      x[id] = left + PADDING + (isHead ? HEAD / 4 : inner[box]!.x[at - first]! - question.width[id]! / 2 + DOT);
      y[id] = top + PADDING + (isHead ? HEAD / 4 : HEAD + inner[box]!.y[at - first]!);
    });
    return { x: left, y: top, width, height };
  });
  return { x, y, boxes };
}
