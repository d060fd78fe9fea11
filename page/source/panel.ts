/** The panel beside the drawing: everything that the drawing shows, in words. */

import { entryOf, kindWord, legend, outcomeWord } from "./colours.ts";
import { plain, time, type Direction, type Edge, type Graph } from "./data.ts";
import { h } from "./dom.ts";
import { MAX_DEPTH, type State } from "./state.ts";

export interface Commands {
  select(id: number | null): void;
  change(change: Partial<State>): void;
  searchInto(input: HTMLInputElement, pick: (id: number) => void): void;
}

const SHOWN = 40;
const SLOWEST = 10;

export class Panel {
  constructor(
    private readonly graph: Graph,
    private readonly element: HTMLElement,
    private readonly commands: Commands,
  ) {}

  show(state: State, dark: boolean, path: readonly number[] | null, hidden: number): void {
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["keep"] : undefined;
    this.element.replaceChildren(
      ...(state.selected === null ? this.overview(state) : this.selection(state, state.selected, path, hidden)),
      this.legend(state, dark),
    );
    if (focused) this.element.querySelector<HTMLElement>(`[data-keep="${focused}"]`)?.focus();
  }

  // -- nothing is selected -------------------------------------------------------------------------

  private overview(state: State): HTMLElement[] {
    const { graph } = this;
    const parts: HTMLElement[] = [h("h2", {}, "Overview")];
    parts.push(h("p", {}, `${graph.nodes.length.toLocaleString("en")} nodes, ${graph.edges.filter(({ why }) => why !== "has").length.toLocaleString("en")} dependencies.`));
    const failed = graph.nodes.filter(({ outcome }) => outcome === "failed").map(({ id }) => id);
    if (failed.length) parts.push(h("h3", {}, `Failed in the last run (${failed.length})`), this.list("failed", failed.map((id) => this.entry(id))));
    const { run, critical } = graph.raw;
    if (run) {
      const done = graph.nodes.filter(({ outcome }) => outcome && outcome !== "up-to-date").length;
      parts.push(h("p", {}, `The last run that had something to do ${run.failed ? "failed" : "succeeded"} in ${time(run.seconds)}; ${done} of these nodes were in it.`));
    }
    if (critical.length > 1) {
      const total = critical.reduce((sum, [, seconds]) => sum + seconds, 0);
      parts.push(
        h("h3", {}, "Critical path"),
        h("p", { class: "note" }, `With any number of workers, a build from nothing takes about ${time(total)} or more: these wait for each other.`),
        this.list("critical", critical.map(([name, seconds]) => {
          const id = graph.byName.get(name);
          return h("li", {}, id === undefined ? h("span", {}, name) : this.link(id), h("span", { class: "aside" }, time(seconds)));
        })),
        h("button", {
          "data-keep": "critical", "aria-pressed": state.spotlight.has("critical"),
          onclick: () => this.commands.change({ spotlight: new Set(state.spotlight.has("critical") ? [] : ["critical"]) }),
        }, "Show it in the drawing"),
      );
    }
    const slowest = graph.nodes.filter(({ seconds }) => seconds > 0).sort((a, b) => b.seconds - a.seconds || a.id - b.id).slice(0, SLOWEST);
    if (slowest.length)
      parts.push(h("h3", {}, "Slowest"), this.list("slowest", slowest.map(({ id, seconds }) => h("li", {}, this.link(id), h("span", { class: "aside" }, time(seconds))))));
    parts.push(h("h3", {}, "Spirits and Systems"));
    const heads = graph.nodes.filter((node) => node.group === node.id).map(({ id }) => this.entry(id));
    parts.push(this.list("heads", heads));
    return parts;
  }

  // -- something is selected -----------------------------------------------------------------------

  private selection(state: State, id: number, path: readonly number[] | null, hidden: number): HTMLElement[] {
    const { graph, commands } = this;
    const node = graph.node(id);
    const facts: [string, string][] = [["kind", kindWord(node)]];
    if (node.group !== id) facts.push(["in", plain(graph.node(node.group).name)]);
    if (node.file) facts.push(["file", node.file]);
    if (node.kind !== "package") facts.push(["last run", outcomeWord(node)]);
    if (node.seconds > 0) facts.push(["takes", time(node.seconds)]);
    const affected = graph.reach(id, "needed by").size - 1;
    const needed = graph.reach(id, "needs").size - 1;
    facts.push(["needs in all", String(needed)], ["affects in all", String(affected)]);
    const parts: HTMLElement[] = [
      h("button", { class: "quiet", "data-keep": "back", onclick: () => commands.select(null) }, "← Overview"),
      h("h2", { class: "name" }, plain(node.name)),
      h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      this.controls(state),
    ];
    if (state.view === "focus" && hidden > 0)
      parts.push(h("p", { class: "note", role: "status" }, `${hidden} more are within this depth, and are left out of the drawing. Choose a smaller depth, or one direction.`));
    if (state.view === "path" && state.to !== null) parts.push(...this.path(id, state.to, path));
    const needs = graph.needs[id]!.map((edge) => graph.edge(edge));
    const neededBy = graph.neededBy[id]!.map((edge) => graph.edge(edge));
    parts.push(
      h("h3", {}, `Needs (${needs.length})`),
      this.list("needs", needs.map((edge) => this.edge(edge, edge.target))),
      h("h3", {}, `Needed by (${neededBy.length})`),
      this.list("needed", neededBy.map((edge) => this.edge(edge, edge.source))),
    );
    return parts;
  }

  private controls(state: State): HTMLElement {
    const { commands } = this;
    const isFocused = state.view === "focus";
    const view = (direction: Direction, depth: number, word: string, keep: string): HTMLElement =>
      h("button", { "data-keep": keep, onclick: () => commands.change({ view: "focus", direction, depth }) }, word);
    const to = h("input", {
      type: "search", placeholder: "a path to…", "aria-label": "Show a path from here to", autocomplete: "off", "data-keep": "to",
    });
    commands.searchInto(to, (id) => commands.change({ view: "path", to: id }));
    const parts: HTMLElement[] = [
      h("div", { class: "row" },
        h("button", {
          "data-keep": "focus", "aria-pressed": isFocused,
          onclick: () => commands.change({ view: isFocused ? "overview" : "focus" }),
        }, "Focus"),
        view("needed by", MAX_DEPTH, "What this affects", "affects"),
        view("needs", MAX_DEPTH, "All that it needs", "all"),
      ),
      h("div", { class: "row" }, to),
    ];
    if (isFocused) {
      const depth = h("input", {
        type: "range", min: 1, max: MAX_DEPTH, value: state.depth, id: "depth", "data-keep": "depth",
        oninput: (event: Event) => commands.change({ depth: Number((event.target as HTMLInputElement).value) }),
      });
      const direction = h("select", {
        id: "direction", "data-keep": "direction",
        onchange: (event: Event) => commands.change({ direction: (event.target as HTMLSelectElement).value as Direction }),
      }, ...(["both", "needs", "needed by"] as const).map((one) => h("option", { value: one, selected: one === state.direction }, one)));
      parts.push(
        h("div", { class: "row" }, h("label", { for: "depth" }, `Depth ${state.depth}`), depth),
        h("div", { class: "row" }, h("label", { for: "direction" }, "Direction"), direction),
      );
    }
    return h("div", { class: "controls" }, ...parts);
  }

  private path(from: number, to: number, path: readonly number[] | null): HTMLElement[] {
    const { graph, commands } = this;
    const target = graph.node(to);
    const turn = h("button", { "data-keep": "turn", onclick: () => commands.change({ selected: to, to: from, view: "path" }) }, "The other way round");
    if (from === to) return [h("p", { class: "note" }, "That is where it begins.")];
    if (path === null) return [h("p", { role: "status" }, `This does not need ${plain(target.name)}.`), turn];
    const steps = path.map((id) => graph.edge(id));
    return [
      h("h3", {}, `Why it needs ${plain(target.name)}`),
      h("ol", { class: "steps" }, h("li", {}, this.link(from)), ...steps.map((edge) => this.edge(edge, edge.target))),
      turn,
    ];
  }

  // -- parts ---------------------------------------------------------------------------------------

  /** What an edge leads to, and what says so. */
  private edge(edge: Edge, id: number): HTMLElement {
    const file = this.graph.node(edge.source).file;
    const said = edge.text ? `${edge.why} ${edge.text}` : edge.why;
    const place = edge.line && file ? `${file}:${edge.line}` : "";
    return h("li", {}, this.link(id), h("span", { class: "why" }, said), place ? h("code", { class: "place" }, place) : null);
  }

  private entry(id: number): HTMLElement {
    return h("li", {}, this.link(id));
  }

  private link(id: number): HTMLElement {
    const node = this.graph.node(id);
    const sign = entryOf(node, "kind").sign;
    return h("button", { class: "link", title: `${kindWord(node)} ${plain(node.name)}`, onclick: () => this.commands.select(id) },
      h("span", { class: "sign", "aria-hidden": "true" }, sign), plain(node.name));
  }

  /** A list, of which the rest is shown when asked for. */
  private list(name: string, items: HTMLElement[]): HTMLElement {
    if (items.length === 0) return h("p", { class: "note" }, "none");
    const list = h("ul", { "data-list": name }, ...items.slice(0, SHOWN));
    if (items.length > SHOWN) {
      const more = h("button", { class: "quiet", onclick: () => {
        const rest = items.slice(SHOWN);
        more.closest("li")!.replaceWith(...rest);
        rest[0]?.querySelector<HTMLElement>("button")?.focus();
      } }, `show all ${items.length.toLocaleString("en")}`);
      list.append(h("li", {}, more));
    }
    return list;
  }

  private legend(state: State, dark: boolean): HTMLElement {
    const { commands } = this;
    const toggle = (key: string): void => {
      const spotlight = new Set(state.spotlight);
      if (!spotlight.delete(key)) spotlight.add(key);
      commands.change({ spotlight });
    };
    return h("section", { class: "legend", "aria-label": "Legend" },
      h("h3", {}, "Legend"),
      h("p", { class: "note" }, "Choose entries to look at only those."),
      h("ul", {}, ...legend(this.graph, state.colour).map(([entry, count]) =>
        h("li", {}, h("button", {
          class: "key", "data-keep": `legend-${entry.key}`, "aria-pressed": state.spotlight.has(entry.key), onclick: () => toggle(entry.key),
        },
        h("span", { class: "swatch", style: `background:${dark ? entry.dark : entry.light}`, "aria-hidden": "true" }),
        h("span", { class: "sign", "aria-hidden": "true" }, entry.sign), entry.word, h("span", { class: "aside" }, count.toLocaleString("en")))))));
  }
}
