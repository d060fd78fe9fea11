/** Follows a build while it runs: dolbuild sends what it writes into `.dolbuild/run`. */

import type { Graph, Outcome } from "./data.ts";

export interface Follower {
  changed(ids: number[]): void;
  told(text: string): void;
  /** the graph itself has changed */
  anew(): void;
}

interface Line {
  run?: string;
  planned?: number;
  begin?: string;
  node?: string;
  outcome?: Outcome;
  seconds?: number;
  saved?: number;
  end?: number;
  failed?: boolean;
  killed?: boolean;
  graph?: string;
}

/** Take in one line of a run; gives the node that it is about. */
export class Following {
  private planned = 0;
  private done = 0;
  private failed = 0;

  constructor(
    private readonly graph: Graph,
    private readonly follower: Follower,
  ) {}

  take(lines: readonly Line[]): void {
    const changed = new Set<number>();
    for (const line of lines) {
      if (line.graph !== undefined) return this.follower.anew();
      if (line.run !== undefined) {
        this.planned = line.planned ?? 0;
        this.done = this.failed = 0;
        this.graph.raw.run = null;
        for (const node of this.graph.nodes)
          if (node.outcome !== "" && node.outcome !== "up-to-date") {
            node.outcome = "up-to-date";
            changed.add(node.id);
          }
      }
      if (line.node !== undefined) {
        this.done++;
        if (line.outcome === "failed") this.failed++;
      }
      const id = this.graph.byName.get(line.begin ?? line.node ?? "");
      if (id !== undefined) {
        const node = this.graph.node(id);
        node.outcome = line.outcome ?? "working";
        if (line.outcome === "ran") node.seconds = line.seconds ?? 0;
        else if (line.saved) node.seconds = line.saved;
        changed.add(id);
      }
      if (line.end !== undefined) {
        this.graph.raw.run = line.killed ? null : { planned: this.planned, seconds: line.end, failed: line.failed ?? false };
        const ended = line.killed ? "was ended from outside" : line.failed ? "has failed" : "is done";
        this.follower.told(`the build ${ended} (${line.end.toFixed(1)} s)`);
      } else if (this.planned) {
        this.follower.told(`building: ${this.done} of ${this.planned}${this.failed ? `, ${this.failed} failed` : ""}`);
      }
    }
    if (changed.size) this.follower.changed([...changed]);
  }
}

export function follow(following: Following, lost: (isLost: boolean) => void): void {
  const source = new EventSource("events");
  let waiting: Line[] = [];
  source.onopen = () => lost(false);
  source.onerror = () => lost(true);
  source.onmessage = ({ data }) => {
    if (waiting.length === 0)
      requestAnimationFrame(() => {
        const lines = waiting;
        waiting = [];
        following.take(lines);
      });
    waiting.push(JSON.parse(data as string) as Line);
  };
}
