/** The page. */

import { kindWord, outcomeWord, theme } from "./colours.ts";
import { Graph, plain, short, type Raw } from "./data.ts";
import { byId, h } from "./dom.ts";
import { boxed, type Answer, type Question } from "./layout.ts";
import { follow, Following } from "./live.ts";
import { Panel } from "./panel.ts";
import { Scene, type Name } from "./scene.ts";
import { searchable } from "./search.ts";
import { INITIAL, read, write, type State } from "./state.ts";

declare const WORKER: string;

const MAX_FOCUS = 400;
/** what was selected before anything was shown: it differs from everything, and is not announced */
const NOTHING_YET = -1;

class Page {
  private state: State;
  private readonly scene: Scene | null;
  private readonly panel: Panel;
  private isDark = false;
  private hidden = 0;
  private shownPath: number[] | null = null;
  private questions = 0;
  /** the neighbours that arrow keys went along, and where in them the selection is */
  private siblings: number[] = [];

  constructor(private readonly graph: Graph) {
    this.state = read(location.hash, graph.byName);
    this.isDark = this.wantsDark();
    document.documentElement.dataset["theme"] = this.isDark ? "dark" : "light";
    this.scene = this.makeScene();
    this.panel = new Panel(graph, byId("panel"), {
      select: (id) => this.select(id),
      change: (change) => this.change(change),
      searchInto: (input, pick) => searchable(input, () => graph, pick),
    });
    this.listen();
    this.place();
    this.update({ ...INITIAL, selected: NOTHING_YET });
  }

  private makeScene(): Scene | null {
    try {
      return new Scene(this.graph, byId("drawing"), this.state, theme(this.isDark), {
        select: (id) => this.select(id),
        open: (id) => this.change({ selected: id, view: "focus" }),
      });
    } catch (error) {
      byId("busy").hidden = true;
      byId("drawing").append(
        h("p", { class: "missing", role: "status" }, "This browser draws nothing with WebGL, so the drawing is left out. Everything is in the panel. ",
          h("small", {}, String(error))));
      return null;
    }
  }

  // -- the layout ----------------------------------------------------------------------------------

  /** The box of each node, and what the boxes are called. */
  private boxesOf(): [number[], Name[]] {
    const { graph, state } = this;
    const names = new Map<string, number>();
    const number = (name: string): number => names.get(name) ?? (names.set(name, names.size), names.size - 1);
    if (state.grouping === "spirit") {
      const box = graph.nodes.map((node) => number(String(node.group)));
      return [box, [...names.keys()].map((id) => ({ label: plain(graph.node(Number(id)).name), head: Number(id) }))];
    }
    if (state.grouping === "none") return [graph.nodes.map(() => 0), [{ label: "", head: null }]];
    const folders = graph.nodes.map((node) => node.file.split("/").slice(0, -1));
    let depth = 1;
    const at = (folder: string[]): string => folder.slice(0, depth).join("/");
    const deepest = Math.max(1, ...folders.map((folder) => folder.length));
    while (depth < deepest && new Set(folders.filter((folder) => folder.length > 0).map(at)).size < 2) depth++;
    const box = graph.nodes.map((node, id) => number(node.file ? at(folders[id]!) || "." : "elsewhere"));
    return [box, [...names.keys()].map((label) => ({ label, head: null }))];
  }

  private place(): void {
    const { graph, state } = this;
    if (this.scene === null) return;
    const [box, names] = this.boxesOf();
    const headed = state.grouping === "spirit";
    const edges = graph.edges.filter(({ why }) => why !== "has").map(({ source, target }): [number, number] => [source, target]);
    // the head of a group stands first in it
    const order = graph.nodes.map(({ id }) => id).sort((a, b) => Number(graph.node(a).group !== a) - Number(graph.node(b).group !== b) || a - b);
    const at = new Array<number>(order.length);
    order.forEach((id, place) => (at[id] = place));
    const question: Question = {
      nodes: order.length, boxes: names.length, headed,
      box: order.map((id) => box[id]!),
      width: order.map((id) => 34 + 7.4 * Math.min(40, (headed ? short(graph.node(id)) : plain(graph.node(id).name)).length)),
      edges: edges.map(([a, b]) => [at[a]!, at[b]!]),
    };
    const mine = ++this.questions;
    byId("busy").hidden = false;
    const arrived = (answer: Answer): void => {
      if (mine !== this.questions) return;
      byId("busy").hidden = true;
      const x = new Float32Array(order.length);
      const y = new Float32Array(order.length);
      order.forEach((id, place) => {
        x[id] = answer.x[place]!;
        y[id] = answer.y[place]!;
      });
      this.scene!.place({ x, y, boxes: answer.boxes }, names);
      if (this.state.view === "overview" && this.state.selected !== null) this.scene!.centre(this.state.selected, true);
      document.documentElement.dataset["drawn"] = String(Math.round(performance.now()));
    };
    try {
      const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" })));
      worker.onmessage = ({ data }: MessageEvent<Answer>) => {
        worker.terminate();
        arrived(data);
      };
      worker.onerror = () => arrived(boxed(question));
      worker.postMessage(question);
    } catch {
      arrived(boxed(question));
    }
  }

  // -- changes -------------------------------------------------------------------------------------

  select(id: number | null, siblings: number[] = []): void {
    this.siblings = siblings;
    this.change(id === null ? { selected: null, view: "overview", to: null } : { selected: id, ...(this.state.view === "path" ? { view: "focus" as const, to: null } : {}) });
  }

  change(change: Partial<State>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    history.replaceState(null, "", write(this.state, (id) => this.graph.node(id).name));
    if (before.grouping !== this.state.grouping) this.place();
    this.update(before);
  }

  /** Bring everything that is shown to the state. */
  private update(before: State): void {
    const { state, graph, scene } = this;
    const isOther = before.view !== state.view || before.selected !== state.selected || before.depth !== state.depth ||
      before.direction !== state.direction || before.to !== state.to;
    this.shownPath = state.view === "path" && state.selected !== null && state.to !== null ? graph.path(state.selected, state.to) : null;
    const isShownAlone = state.selected !== null && (state.view === "focus" || state.view === "path");
    scene?.paint(state, theme(this.isDark), this.lit());
    if (isOther && scene) {
      if (isShownAlone) this.focus();
      else {
        this.hidden = 0;
        if (before.view !== "overview") scene.back();
        if (state.selected !== null) scene.centre(state.selected);
      }
    }
    this.panel.show(state, this.isDark, this.shownPath, this.hidden);
    byId<HTMLSelectElement>("colour").value = state.colour;
    byId<HTMLSelectElement>("group").value = state.grouping;
    if (before.selected !== state.selected && state.selected !== null && before.selected !== NOTHING_YET) this.say(state.selected);
  }

  private lit(): number[] {
    if (!this.state.spotlight.has("critical")) return [];
    return this.graph.raw.critical.flatMap(([name]) => this.graph.byName.get(name) ?? []);
  }

  private focus(): void {
    const { state, graph } = this;
    if (state.selected === null) return;
    this.hidden = 0;
    if (state.view === "path") {
      const steps = this.shownPath ?? [];
      this.scene!.focus([state.selected, ...steps.map((id) => graph.edge(id).target)], steps);
      return;
    }
    const reached = [...graph.reach(state.selected, state.direction, state.depth)].sort((a, b) => a[1] - b[1]);
    const kept = reached.slice(0, MAX_FOCUS).map(([id]) => id);
    this.hidden = reached.length - kept.length;
    this.scene!.focus(kept, graph.between(new Set(kept)));
  }

  /** For those who do not see the drawing. */
  private say(id: number): void {
    const node = this.graph.node(id);
    const { needs, neededBy } = this.graph;
    byId("said").textContent =
      `${kindWord(node)} ${plain(node.name)}, ${outcomeWord(node)}, needs ${needs[id]!.length}, needed by ${neededBy[id]!.length}`;
  }

  // -- the user ------------------------------------------------------------------------------------

  private wantsDark(): boolean {
    try {
      const chosen = localStorage.getItem("dolbuild-theme");
      if (chosen) return chosen === "dark";
    } catch {
      // a page in a file may not remember anything
    }
    return matchMedia("(prefers-color-scheme: dark)").matches;
  }

  private turnTheme(): void {
    this.isDark = !this.isDark;
    document.documentElement.dataset["theme"] = this.isDark ? "dark" : "light";
    try {
      localStorage.setItem("dolbuild-theme", this.isDark ? "dark" : "light");
    } catch {
      // as above
    }
    this.update(this.state);
  }

  private listen(): void {
    searchable(byId<HTMLInputElement>("search"), () => this.graph, (id) => {
      this.select(id);
      this.scene?.centre(id, true);
      byId("drawing").focus();
    });
    byId("colour").addEventListener("change", (event) => this.change({ colour: (event.target as HTMLSelectElement).value as State["colour"], spotlight: new Set() }));
    byId("group").addEventListener("change", (event) => this.change({ grouping: (event.target as HTMLSelectElement).value as State["grouping"], view: "overview" }));
    byId("theme").addEventListener("click", () => this.turnTheme());
    byId("in").addEventListener("click", () => this.scene?.zoom(1.5));
    byId("out").addEventListener("click", () => this.scene?.zoom(1 / 1.5));
    byId("fit").addEventListener("click", () => this.scene?.fit());
    byId("help").addEventListener("click", () => byId<HTMLDialogElement>("keys").showModal());
    addEventListener("hashchange", () => {
      const before = this.state;
      this.state = read(location.hash, this.graph.byName);
      if (before.grouping !== this.state.grouping) this.place();
      this.update(before);
    });
    addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || byId<HTMLDialogElement>("keys").open) return;
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (isTyping) return;
    const isOnDrawing = event.target === byId("drawing") || event.target === document.body;
    const { selected } = this.state;
    const done = ((): boolean => {
      switch (event.key) {
        case "/": byId("search").focus(); return true;
        case "?": byId<HTMLDialogElement>("keys").showModal(); return true;
        case "+": case "=": this.scene?.zoom(1.5); return true;
        case "-": this.scene?.zoom(1 / 1.5); return true;
        case "0": this.scene?.fit(); return true;
        case "f": if (selected !== null) this.change({ view: this.state.view === "focus" ? "overview" : "focus" }); return true;
        case "Escape":
          if (this.state.view !== "overview") this.change({ view: "overview", to: null });
          else this.select(null);
          return true;
        default: return isOnDrawing && this.arrow(event.key);
      }
    })();
    if (done) event.preventDefault();
  }

  /** Right: what the selection needs; left: what needs it; up and down: the others that came into question. */
  private arrow(key: string): boolean {
    const { graph } = this;
    const { selected } = this.state;
    if (!["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown"].includes(key)) {
      if (key !== "Enter" || selected === null) return false;
      this.change({ view: "focus" });
      return true;
    }
    if (selected === null) {
      const first = graph.nodes.find((node) => node.group === node.id) ?? graph.nodes[0];
      if (first) this.select(first.id, graph.nodes.filter((node) => node.group === node.id).map(({ id }) => id));
      return true;
    }
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const edges = key === "ArrowRight" ? graph.needs[selected]! : graph.neededBy[selected]!;
      const next = [...new Set(edges.map((id) => (key === "ArrowRight" ? graph.edge(id).target : graph.edge(id).source)))];
      if (next.length) this.select(next[0]!, next);
      return true;
    }
    const among = this.siblings.includes(selected) ? this.siblings : graph.nodes.filter(({ group }) => group === graph.node(selected).group).map(({ id }) => id);
    const at = among.indexOf(selected);
    const next = among[(at + (key === "ArrowDown" ? 1 : among.length - 1)) % among.length];
    if (next !== undefined) this.select(next, among);
    return true;
  }

  // -- a build that goes on ------------------------------------------------------------------------

  follow(): void {
    const told = byId("live");
    told.hidden = false;
    let shown = 0;
    const following = new Following(this.graph, {
      changed: (ids) => {
        this.scene?.repaint(ids);
        const now = performance.now();
        if (now - shown > 500) {
          shown = now;
          this.panel.show(this.state, this.isDark, this.shownPath, this.hidden);
        }
      },
      told: (text) => {
        told.textContent = text;
        if (!text.startsWith("building")) this.panel.show(this.state, this.isDark, this.shownPath, this.hidden);
      },
      anew: () => location.reload(),
    });
    follow(following, (isLost) => {
      if (isLost) told.textContent = "the connection is lost; dolbuild may have been stopped";
      else told.textContent = "waiting for a build";
    });
    if (this.state.colour === "kind") this.change({ colour: "run" });
  }

  /** For tests and measurements. */
  get inspected(): unknown {
    return {
      state: this.state,
      counts: this.scene?.counts ?? null,
      position: (name: string) => this.scene?.position(this.graph.byName.get(name) ?? -1) ?? null,
    };
  }
}

const raw = JSON.parse(byId("graph").textContent ?? "") as Raw;
document.title = `${raw.title}: graph`;
byId("title").textContent = raw.title;
const page = new Page(new Graph(raw));
Object.defineProperty(window, "dolbuild", { get: () => page.inspected });
if (raw.live) page.follow();
