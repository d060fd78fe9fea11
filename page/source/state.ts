/** What the page shows, kept in its address so that a view can be passed on. */

import type { Direction } from "./data.ts";

export type View = "overview" | "focus" | "path";
export type Colour = "kind" | "run" | "time";
export type Grouping = "spirit" | "folder" | "none";

export interface State {
  selected: number | null;
  view: View;
  /** where a path leads */
  to: number | null;
  depth: number;
  direction: Direction;
  colour: Colour;
  grouping: Grouping;
  /** entries of the legend that are looked at; none: all */
  spotlight: Set<string>;
}

export const INITIAL: State = {
  selected: null, view: "overview", to: null, depth: 2, direction: "both", colour: "kind", grouping: "spirit", spotlight: new Set(),
};

export const MAX_DEPTH = 10;

function one<T extends string>(value: string | null, known: readonly T[], otherwise: T): T {
  return known.includes(value as T) ? (value as T) : otherwise;
}

export function read(hash: string, byName: ReadonlyMap<string, number>): State {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const selected = byName.get(given.get("node") ?? "") ?? null;
  const to = byName.get(given.get("to") ?? "") ?? null;
  const depth = Math.trunc(Number(given.get("depth") ?? INITIAL.depth));
  const view = one(given.get("view"), ["overview", "focus", "path"] as const, "overview");
  return {
    selected,
    to,
    view: selected === null || (view === "path" && to === null) ? "overview" : view,
    depth: depth >= 1 && depth <= MAX_DEPTH ? depth : INITIAL.depth,
    direction: one(given.get("direction"), ["needs", "needed by", "both"] as const, INITIAL.direction),
    colour: one(given.get("colour"), ["kind", "run", "time"] as const, INITIAL.colour),
    grouping: one(given.get("group"), ["spirit", "folder", "none"] as const, INITIAL.grouping),
    spotlight: new Set((given.get("only") ?? "").split(",").filter(Boolean)),
  };
}

export function write(state: State, name: (id: number) => string): string {
  const said = new URLSearchParams();
  if (state.selected !== null) said.set("node", name(state.selected));
  if (state.view !== "overview") said.set("view", state.view);
  if (state.view === "path" && state.to !== null) said.set("to", name(state.to));
  if (state.view === "focus") {
    said.set("depth", String(state.depth));
    said.set("direction", state.direction);
  }
  if (state.colour !== INITIAL.colour) said.set("colour", state.colour);
  if (state.grouping !== INITIAL.grouping) said.set("group", state.grouping);
  if (state.spotlight.size) said.set("only", [...state.spotlight].join(","));
  return `#${said}`;
}
