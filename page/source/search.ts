/** A field that finds nodes as one types: a combobox with a list below it (WAI-ARIA's pattern). */

import { kindWord } from "./colours.ts";
import { plain, type Graph } from "./data.ts";
import { h } from "./dom.ts";

const LIMIT = 12;
let count = 0;

export function searchable(input: HTMLInputElement, graph: () => Graph, pick: (id: number) => void): void {
  const name = `found-${++count}`;
  const list = h("ul", { id: name, role: "listbox", class: "found", hidden: true });
  let found: number[] = [];
  let chosen = -1;
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-controls", name);
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-autocomplete", "list");

  const close = (): void => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (at: number): void => {
    chosen = at;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    const item = list.children[at];
    if (item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    }
  };
  const take = (at: number): void => {
    const id = found[at];
    if (id === undefined) return;
    input.value = "";
    close();
    pick(id);
  };
  const look = (): void => {
    if (!list.isConnected) input.after(list);
    found = graph().search(input.value, LIMIT);
    list.replaceChildren(
      ...found.map((id, at) => {
        const node = graph().node(id);
        return h("li", {
          id: `${name}-${at}`, role: "option", "aria-selected": "false",
          onmousedown: (event: Event) => { event.preventDefault(); take(at); },
        }, plain(node.name), h("span", { class: "aside" }, kindWord(node)));
      }),
      ...(found.length === 0 && input.value.trim() ? [h("li", { class: "note", role: "presentation" }, "nothing has this name")] : []),
    );
    list.hidden = input.value.trim() === "";
    input.setAttribute("aria-expanded", String(!list.hidden));
    choose(found.length ? 0 : -1);
  };
  input.addEventListener("input", look);
  input.addEventListener("focus", look);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (found.length) choose((chosen + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (list.hidden) input.blur();
      input.value = "";
      close();
    }
  });
}
