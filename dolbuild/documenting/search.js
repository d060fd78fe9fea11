// Search over `window.documentation`: [name, kind, address, summary]. A combobox with a list below it.
(() => {
  const input = document.getElementById("search");
  const root = document.body.dataset.root;
  const list = document.createElement("ul");
  list.className = "found";
  list.id = "found";
  list.setAttribute("role", "listbox");
  list.hidden = true;
  input.after(list);
  for (const [name, value] of [["role", "combobox"], ["aria-controls", "found"], ["aria-expanded", "false"], ["aria-autocomplete", "list"]]) input.setAttribute(name, value);
  let chosen = -1;

  const rank = ([name, , , summary], words) => {
    const lower = name.toLowerCase();
    const said = summary.toLowerCase();
    if (!words.every((word) => lower.includes(word) || said.includes(word))) return -1;
    const last = words[words.length - 1];
    return lower === last ? 0 : lower.startsWith(last) ? 1 : lower.includes(last) ? 2 : 3;
  };
  const choose = (at) => {
    chosen = at;
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    const item = list.children[at];
    if (item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    }
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length === 0 ? [] : window.documentation
      .map((entry) => [rank(entry, words), entry])
      .filter(([place]) => place >= 0)
      .sort((a, b) => a[0] - b[0] || a[1][0].length - b[1][0].length)
      .slice(0, 20);
    list.replaceChildren(...found.map(([, [name, kind, address, summary]], at) => {
      const item = document.createElement("li");
      item.id = `found-${at}`;
      item.setAttribute("role", "option");
      const link = document.createElement("a");
      link.href = root + address;
      link.tabIndex = -1;
      const small = document.createElement("small");
      small.textContent = ` ${kind} in ${address.split("/index.html")[0]} ${summary ? "· " + summary : ""}`;
      link.append(name, small);
      item.append(link);
      return item;
    }));
    list.hidden = words.length === 0;
    if (words.length && !found.length) list.textContent = "nothing is called so";
    input.setAttribute("aria-expanded", String(!list.hidden));
    choose(found.length ? 0 : -1);
  });
  input.addEventListener("keydown", (event) => {
    const count = list.children.length;
    if (event.key === "ArrowDown" && count) choose((chosen + 1) % count);
    else if (event.key === "ArrowUp" && count) choose((chosen + count - 1) % count);
    else if (event.key === "Enter" && list.children[chosen]) {
      location.href = list.children[chosen].querySelector("a").href;
      close();
    } else if (event.key === "Escape") {
      input.value = "";
      close();
    } else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => setTimeout(close, 150));
  addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== input && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      input.focus();
    }
  });
})();
