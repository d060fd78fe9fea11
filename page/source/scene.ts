/** The drawing: sigma draws nodes, edges and labels with WebGL; the boxes of groups are drawn on a canvas below. */

import { createNodeBorderProgram } from "@sigma/node-border";
import { NodeSquareProgram } from "@sigma/node-square";
import Drawing from "graphology";
import Sigma from "sigma";
import { EdgeArrowProgram, EdgeLineProgram, NodeCircleProgram } from "sigma/rendering";

import { entryOf, type Theme } from "./colours.ts";
import { plain, short, type Graph, type Node } from "./data.ts";
import { HEAD, type Answer, type Box, layered, type Size } from "./layout.ts";
import type { State } from "./state.ts";

export interface Listener {
  select(id: number | null): void;
  open(id: number): void;
}

/** what is drawn alone is not made larger than this needs */
const LEAST: Size = { width: 800, height: 500 };

export interface Name {
  label: string;
  /** the node that a box stands for, if there is one */
  head: number | null;
}

interface Group extends Box, Name {}

const NODE_SIZE = 4;
const HEAD_SIZE = 6;
/** pixels that a module must have for its edges and label to be drawn in the overview */
const NEAR = 2.2;
/** pixels around its middle in which a node is hit */
const REACH = 7;
/** pixels below which a module is not drawn at all: its box stands for it */
const TINY = 0.7;

/** a circle with a hole: tests, which are not told by their colour alone */
const Ring = createNodeBorderProgram({
  borders: [
    { size: { value: 0.45 }, color: { attribute: "color" } },
    { size: { fill: true }, color: { attribute: "hole" } },
  ],
});

const SHAPES = { module: "circle", test: "ring", spirit: "square", system: "square", package: "square" } as const;

export class Scene {
  private readonly sigma: Sigma;
  private readonly overview: Drawing;
  private readonly boxes: CanvasRenderingContext2D;
  private groups: Group[] = [];
  private near = false;
  private tiny = false;
  private hovered: number | null = null;
  private lit = new Set<number>();
  /** by the head of a box: a node of it that failed, or is being worked on */
  private readonly marks = new Map<number, Node>();
  private isPlaced = false;
  /** how much of an edge's colour is left where there are very many */
  private readonly veil: number;

  constructor(
    private readonly graph: Graph,
    container: HTMLElement,
    private state: State,
    private theme: Theme,
    listener: Listener,
  ) {
    const between = graph.edges.filter(({ why }) => why === "requires" || why === "uses").length;
    this.veil = Math.min(1, Math.max(0.25, 200 / between));
    this.overview = new Drawing({ multi: true, type: "directed" });
    for (const node of graph.nodes) this.overview.addNode(String(node.id), { x: 0, y: 0, size: this.isHead(node) ? HEAD_SIZE : NODE_SIZE });
    graph.edges.forEach((edge, id) => {
      if (edge.why !== "has") this.overview.addEdgeWithKey(String(id), String(edge.source), String(edge.target));
    });
    // nothing is drawn before it has a place: all nodes in one would be as large as the screen
    this.sigma = new Sigma(new Drawing({ multi: true, type: "directed" }), container, {
      allowInvalidContainer: true,
      itemSizesReference: "positions",
      zoomToSizeRatioFunction: (ratio) => ratio,
      minCameraRatio: 0.002,
      maxCameraRatio: 3,
      labelRenderedSizeThreshold: 2.4,
      labelDensity: 8,
      labelGridCellSize: 100,
      labelFont: "system-ui, sans-serif",
      labelSize: 12,
      zIndex: true,
      minEdgeThickness: 1,
      defaultEdgeType: "line",
      nodeProgramClasses: { circle: NodeCircleProgram, square: NodeSquareProgram, ring: Ring },
      edgeProgramClasses: { line: EdgeLineProgram, arrow: EdgeArrowProgram },
      nodeReducer: (key, data) => ({ ...data, ...this.node(Number(key)) }),
      edgeReducer: (key) => this.edge(Number(key)),
      defaultDrawNodeHover: () => undefined,
    });
    // sigma asks the graphics card what is below the pointer, and waits for its answer at every move
    Object.defineProperty(this.sigma, "getNodeAtPosition", { value: (at: { x: number; y: number }) => this.nodeAt(at) });
    const canvas = this.sigma.createCanvas("boxes", { beforeLayer: "edges" });
    this.boxes = canvas.getContext("2d")!;
    this.sigma.on("afterRender", () => {
      this.drawBoxes(canvas);
      this.zoomed();
    });
    new ResizeObserver(() => {
      this.sigma.resize();
      this.sigma.refresh();
    }).observe(container);
    this.sigma.on("clickNode", ({ node }) => listener.select(Number(node)));
    this.sigma.on("doubleClickNode", ({ node, preventSigmaDefault }) => {
      preventSigmaDefault();
      listener.open(Number(node));
    });
    this.sigma.on("clickStage", () => listener.select(null));
    this.sigma.on("enterNode", ({ node }) => this.hover(Number(node)));
    this.sigma.on("leaveNode", () => this.hover(null));
  }

  // -- what is drawn -------------------------------------------------------------------------------

  /** Put the overview where the layout says. */
  place(answer: Answer, names: readonly Name[]): void {
    this.groups = answer.boxes.map((box, at) => ({ ...box, ...names[at]! }));
    this.overview.updateEachNodeAttributes(
      (key, attributes) => ({ ...attributes, x: answer.x[Number(key)]!, y: -answer.y[Number(key)]! }),
      { attributes: ["x", "y"] },
    );
    this.isPlaced = true;
    if (this.state.view === "overview") this.show(this.overview, this.extent());
  }

  private extent(): { x: [number, number]; y: [number, number] } {
    const right = Math.max(1, ...this.groups.map((box) => box.x + box.width));
    const bottom = Math.max(1, ...this.groups.map((box) => box.y + box.height));
    return { x: [0, right], y: [-bottom, 0] };
  }

  /** Draw some nodes by themselves, in layers. */
  focus(nodes: readonly number[], edges: readonly number[]): void {
    const measured = this.boxes;
    measured.font = "12px system-ui, sans-serif";
    const sizes: Size[] = nodes.map((id) => ({ width: measured.measureText(this.label(this.graph.node(id), true)).width + 24, height: 26 }));
    const at = new Map(nodes.map((id, place) => [id, place]));
    const layout = layered(sizes, edges.map((id) => [at.get(this.graph.edge(id).source)!, at.get(this.graph.edge(id).target)!] as const));
    const drawing = new Drawing({ multi: true, type: "directed" });
    nodes.forEach((id, place) => {
      drawing.addNode(String(id), { x: layout.x[place]! - sizes[place]!.width / 2 + 8, y: -layout.y[place]!, size: 6 });
    });
    for (const id of edges) {
      const edge = this.graph.edge(id);
      drawing.addEdgeWithKey(String(id), String(edge.source), String(edge.target));
    }
    const sides = Math.max(0, (LEAST.width - layout.width) / 2);
    const ends = Math.max(0, (LEAST.height - layout.height) / 2);
    this.show(drawing, { x: [-sides, layout.width + sides], y: [-layout.height - ends, ends] });
  }

  /** Back to the overview. */
  back(): void {
    if (this.isPlaced) this.show(this.overview, this.extent());
  }

  private show(drawing: Drawing, extent: { x: [number, number]; y: [number, number] }): void {
    this.sigma.setCustomBBox(extent);
    if (this.sigma.getGraph() !== drawing) this.sigma.setGraph(drawing);
    this.sigma.getCamera().setState({ x: 0.5, y: 0.5, ratio: 1, angle: 0 });
    this.near = this.isNear();
    this.tiny = this.isTiny();
    this.sigma.refresh();
  }

  /** Draw what is as the state says now. */
  paint(state: State, theme: Theme, path: readonly number[] = []): void {
    this.state = state;
    this.theme = theme;
    this.lit = new Set(path);
    this.mark();
    this.sigma.setSetting("labelColor", { color: theme.text });
    this.sigma.refresh({ skipIndexation: true });
  }

  /** Draw some nodes anew: something has happened to them. */
  repaint(ids: readonly number[]): void {
    const drawing = this.sigma.getGraph();
    this.mark();
    const nodes = ids.map(String).filter((key) => drawing.hasNode(key));
    if (nodes.length) this.sigma.refresh({ partialGraph: { nodes }, skipIndexation: true, schedule: true });
  }

  /** Find the boxes that have something to tell where their nodes are too small to be seen. */
  private mark(): void {
    this.marks.clear();
    if (this.state.colour !== "run") return;
    for (const node of this.graph.nodes)
      if (node.outcome === "failed" || (node.outcome === "working" && !this.marks.has(node.group))) this.marks.set(node.group, node);
  }

  // -- the camera ----------------------------------------------------------------------------------

  /** Bring a node to the middle; with *close*, near enough to be read. */
  centre(id: number, close = false): void {
    const data = this.sigma.getNodeDisplayData(String(id));
    if (data === undefined) return;
    const camera = this.sigma.getCamera();
    const { x, y } = this.sigma.framedGraphToViewport(data);
    const { width, height } = this.sigma.getDimensions();
    const isInside = x > 60 && y > 60 && x < width - 60 && y < height - 60;
    const ratio = close && !this.isNear() ? camera.ratio * (this.pixels() * NODE_SIZE / 6) : camera.ratio;
    if (isInside && ratio === camera.ratio) return;
    camera.animate({ x: data.x, y: data.y, ratio }, { duration: this.duration() });
  }

  zoom(factor: number): void {
    const camera = this.sigma.getCamera();
    camera.animate({ ratio: camera.getBoundedRatio(camera.ratio / factor) }, { duration: this.duration() });
  }

  fit(): void {
    this.sigma.getCamera().animate({ x: 0.5, y: 0.5, ratio: 1 }, { duration: this.duration() });
  }

  private duration(): number {
    return matchMedia("(prefers-reduced-motion: reduce)").matches ? 1 : 200;
  }

  /** pixels of one unit */
  private pixels(): number {
    const a = this.sigma.graphToViewport({ x: 0, y: 0 });
    const b = this.sigma.graphToViewport({ x: 100, y: 0 });
    return (b.x - a.x) / 100;
  }

  private isNear(): boolean {
    return this.state.view !== "overview" || this.pixels() * NODE_SIZE > NEAR;
  }

  private isTiny(): boolean {
    return this.state.view === "overview" && this.state.grouping === "spirit" && this.pixels() * NODE_SIZE < TINY;
  }

  private zoomed(): void {
    const near = this.isNear();
    const tiny = this.isTiny();
    if (near !== this.near || tiny !== this.tiny) {
      this.near = near;
      this.tiny = tiny;
      this.sigma.scheduleRefresh({ layoutUnchange: true });
    }
  }

  private hover(id: number | null): void {
    this.hovered = id;
    this.sigma.scheduleRefresh({ layoutUnchange: true });
    this.sigma.getContainer().style.cursor = id === null ? "" : "pointer";
  }

  // -- how nodes and edges look --------------------------------------------------------------------

  private isHead(node: Node): boolean {
    return node.group === node.id;
  }

  private isDimmed(node: Node): boolean {
    const { spotlight, colour } = this.state;
    return spotlight.size > 0 && !spotlight.has(entryOf(node, colour).key);
  }

  private label(node: Node, isAlone: boolean): string {
    const entry = entryOf(node, this.state.colour);
    const name = isAlone ? plain(node.name) : short(node);
    return entry.sign && this.state.colour !== "kind" ? `${entry.sign} ${name}` : name;
  }

  private node(id: number): Record<string, unknown> {
    const node = this.graph.node(id);
    const { view, selected, grouping, colour } = this.state;
    const isOverview = view === "overview";
    const entry = entryOf(node, colour);
    const isSelected = id === selected || id === this.hovered;
    if (this.tiny && !this.isHead(node) && !isSelected && !this.lit.has(id)) return { hidden: true };
    const isHead = isOverview && grouping === "spirit" && this.isHead(node);
    const isDimmed = this.isDimmed(node) || (isOverview && this.lit.size > 0 && !this.lit.has(id) && !isSelected);
    return {
      type: SHAPES[node.kind],
      hole: this.theme.page,
      color: isDimmed ? this.theme.faint : this.theme.isDark ? entry.dark : entry.light,
      label: isHead && (this.near || !isSelected) ? null : this.label(node, !isOverview || grouping !== "spirit" || isSelected),
      forceLabel: isSelected || !isOverview || (node.outcome === "failed" && colour === "run" && this.near),
      zIndex: isSelected ? 2 : isDimmed ? 0 : 1,
      size: (this.isHead(node) ? HEAD_SIZE : NODE_SIZE) * (id === selected ? 1.5 : 1),
    };
  }

  private edge(id: number): Record<string, unknown> {
    const edge = this.graph.edge(id);
    const { view, selected } = this.state;
    const isOverview = view === "overview";
    const touches = edge.source === selected ? "needs" : edge.target === selected ? "neededBy" : null;
    const isHovered = edge.source === this.hovered || edge.target === this.hovered;
    const isLit = this.lit.size > 0 && this.lit.has(edge.source) && this.lit.has(edge.target);
    if (isOverview && !touches && !isHovered && !isLit) {
      const isFar = edge.why === "imports" || edge.why === "tests";
      if ((isFar && !this.near) || this.lit.size > 0) return { hidden: true };
      if (!isFar && this.near) return { hidden: true };
    }
    const plainly = isOverview && !this.near ? mixed(this.theme.page, this.theme.edge, this.veil) : this.theme.edge;
    const color = touches ? this.theme[touches] : isHovered || isLit ? this.theme.text : plainly;
    return {
      color,
      type: isOverview && !touches ? "line" : "arrow",
      size: touches || isLit ? 1.6 : isOverview ? 0.4 : 1,
      zIndex: touches || isHovered || isLit ? 1 : 0,
    };
  }

  private drawBoxes(canvas: HTMLCanvasElement): void {
    const { width, height } = this.sigma.getDimensions();
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== width * scale || canvas.height !== height * scale) {
      canvas.width = width * scale;
      canvas.height = height * scale;
    }
    const context = this.boxes;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    if (this.state.view !== "overview" || !this.isPlaced) return;
    const unit = this.pixels();
    const origin = this.sigma.graphToViewport({ x: 0, y: 0 });
    context.textBaseline = "middle";
    const shown: [Group, number, number, number, number][] = [];
    context.beginPath(); // one path for all of them: a call for each takes ten times as long
    for (const box of this.groups) {
      const x = origin.x + box.x * unit;
      const y = origin.y + box.y * unit;
      const wide = box.width * unit;
      const high = box.height * unit;
      if (x > width || y > height || x + wide < 0 || y + high < 0) continue;
      context.rect(Math.round(x) + 0.5, Math.round(y) + 0.5, Math.round(wide), Math.round(high));
      shown.push([box, x, y, wide, high]);
    }
    context.fillStyle = this.theme.box;
    context.fill();
    context.strokeStyle = this.theme.boxLine;
    context.lineWidth = 1;
    context.stroke();
    for (const [box, x, y, wide, high] of shown) this.drawMark(box, x, y, wide, high);
    context.fillStyle = this.theme.text;
    for (const [box, x, y, wide, high] of shown) {
      if (wide <= 44) continue;
      const size = Math.min(15, Math.max(10, HEAD * 0.55 * unit));
      context.font = `600 ${size}px system-ui, sans-serif`;
      if (context.measureText(box.label).width > 1.3 * wide) continue; // squeezed, it could not be read
      if (HEAD * unit >= 9) {
        context.textAlign = "left";
        const left = x + (this.state.grouping === "spirit" ? 28 * unit : 8);
        context.fillText(box.label, left, y + 18 * unit, Math.max(10, x + wide - left - 4));
      } else if (high >= 9) {
        context.textAlign = "center";
        context.fillText(box.label, x + wide / 2, y + high / 2, wide - 4);
      }
    }
  }

  /** Set off a box that is selected, or that has something to tell. */
  private drawMark(box: Group, x: number, y: number, wide: number, high: number): void {
    const isSelected = box.head !== null && box.head === this.state.selected;
    const mark = box.head === null ? undefined : this.marks.get(box.head);
    if (!isSelected && mark === undefined) return;
    const context = this.boxes;
    const entry = mark && entryOf(mark, "run");
    context.strokeStyle = isSelected || !entry ? this.theme.needs : this.theme.isDark ? entry.dark : entry.light;
    context.lineWidth = 2;
    context.strokeRect(x, y, wide, high);
    if (entry && !this.near) {
      context.fillStyle = this.theme.isDark ? entry.dark : entry.light;
      context.font = "700 13px system-ui, sans-serif";
      context.textAlign = "left";
      context.fillText(entry.sign, x + wide + 2, y + high / 2);
    }
  }

  /** The node below a point of the drawing. */
  private nodeAt(at: { x: number; y: number }): string | null {
    const unit = this.pixels();
    let nearest = Infinity;
    let found: string | null = null;
    const { x, y } = this.sigma.viewportToGraph(at);
    this.sigma.getGraph().forEachNode((key, attributes) => {
      const distance = Math.hypot(attributes["x"] - x, attributes["y"] - y);
      if (distance < nearest && distance * unit < Math.max(REACH, attributes["size"] * unit) && !this.sigma.getNodeDisplayData(key)?.hidden) {
        nearest = distance;
        found = key;
      }
    });
    return found;
  }

  /** How many edges would be drawn, for tests and measurements. */
  get counts(): { nodes: number; edges: number; near: boolean } {
    const drawing = this.sigma.getGraph();
    return { nodes: drawing.order, edges: drawing.filterEdges((key) => !this.sigma.getEdgeDisplayData(key)?.hidden).length, near: this.near };
  }

  /** Where a node is on the page. */
  position(id: number): { x: number; y: number } | null {
    const data = this.sigma.getNodeDisplayData(String(id));
    return data === undefined ? null : this.sigma.framedGraphToViewport(data);
  }
}


/** A colour between two: `part` of the second one. */
function mixed(first: string, second: string, part: number): string {
  const channel = (at: number): string => {
    const [a, b] = [first, second].map((one) => parseInt(one.slice(at, at + 2), 16)) as [number, number];
    return Math.round(a + (b - a) * part).toString(16).padStart(2, "0");
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}
