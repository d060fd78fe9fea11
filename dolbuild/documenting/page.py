"""The page of a package: what its manifest says, and each module with what others may use of it."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

from dolbuild.analysis.resolution import FACE, module_id, split_id
from dolbuild.documenting.examples import is_example
from dolbuild.documenting.names import Item, Names
from dolbuild.documenting.signatures import function_html, highlighted, item_html, type_html, variant_html

ORDER = ("system", "gene", "trait", "alias", "function", "const", "variable")
TITLES = {
    "system": "System", "gene": "Genes", "trait": "Traits", "alias": "Types", "function": "Functions",
    "const": "Constants", "variable": "Variables",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """A package: *modules* maps names to (file, interface, documentation); *values* and *exegesis* are its manifest's."""

    id: str
    label: str
    modules: Mapping[str, tuple[str, Any, Any]]
    values: Mapping[str, Any] = field(default_factory=dict)
    exegesis: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """The HTML, and what a search may find in it: (name, kind, address, first sentence)."""

    html: str
    index: list[list[str]]


def address_of(label: str) -> str:
    """Where the page of a package is, below the folder of the documentation."""
    return f"{label}/index.html"


def anchor_of(module: str, name: str = "") -> str:
    """The place of a module or of an item in its page."""
    return f"{module}.{name}" if name else f"module.{module}"


def render(package: Described, names: Names, labels: Mapping[str, str]) -> Page:
    """The page of a package. *labels*: the packages that have pages, by their ids."""
    return _Renderer(package, names, labels).page()


class _Renderer:
    def __init__(self, package: Described, names: Names, labels: Mapping[str, str]) -> None:
        self.package = package
        self.names = names
        self.labels = labels
        self.address = address_of(package.label)
        self.index: list[list[str]] = []

    # -- addresses ---------------------------------------------------------------------------------

    def relative(self, address: str) -> str:
        """An address, seen from this page."""
        return quote(posixpath.relpath(address or ".", posixpath.dirname(self.address)))

    def href(self, module: str, path: str) -> str | None:
        """Where the page of what a path in a module means is."""
        item = self.names.find(module, path)
        return None if item is None else self.href_of(item)

    def href_of(self, item: Item) -> str | None:
        package, module = split_id(item.module)
        if package not in self.labels or item.name not in self.names.shown(item.module):
            return None
        anchor = quote(anchor_of(module, item.name))
        here = "" if package == self.package.id else self.relative(address_of(self.labels[package]))
        return f"{here}#{anchor}"

    # -- the page ----------------------------------------------------------------------------------

    def page(self) -> Page:
        package = self.package
        version = package.values.get("version")
        self.found(package.label, "package", "", str(package.values.get("description") or package.exegesis))
        parts = [f"<h1>{escape(package.label)}</h1>", f'<p class="note">{self.facts()}</p>']
        if description := package.values.get("description"):
            parts.append(f"<p>{escape(str(description))}</p>")
        if package.exegesis:
            parts.append(markdown(package.exegesis))
        parts += self.exports()
        for name in sorted(package.modules, key=lambda one: (one != FACE, one)):
            parts += self.module(name)
        title = package.label + (f" {version}" if version else "")
        return Page(frame(title, "".join(self.navigation()), "".join(parts), self.relative("")), self.index)

    def facts(self) -> str:
        """What the manifest says, in a line."""
        values = self.package.values
        said = [f"version {escape(str(values['version']))}"] if values.get("version") else []
        said += [f"license {escape(str(values['license']))}"] if values.get("license") else []
        if self.package.requires:
            said.append(f"requires {', '.join(map(self.required, sorted(self.package.requires)))}")
        return " · ".join(said)

    def required(self, name: str) -> str:
        label = self.labels.get(self.package.requires[name])
        return escape(name) if label is None else f'<a href="{self.relative(address_of(label))}">{escape(name)}</a>'

    def exports(self) -> Iterator[str]:
        """What the face re-exports from other modules."""
        found = self.names.exported(self.package.id, FACE)
        lines = [
            f'<li><a href="{address}">{escape(name)}</a></li>'
            for name, item in found.items()
            if (address := self.href_of(item)) is not None
        ]
        if lines:
            yield f'<h2>For those who require it</h2><p class="note">Names that <code>{escape(self.package.id)}</code> itself has.</p>'
            yield f'<ul class="names">{"".join(lines)}</ul>'

    def navigation(self) -> Iterator[str]:
        for name in sorted(self.package.modules, key=lambda one: (one != FACE, one)):
            items = self.names.shown(module_id(self.package.id, name))
            if not items and "" not in self.package.modules[name][2]["texts"]:
                continue
            yield f'<p><a href="#{quote(anchor_of(name))}">{escape(name)}</a></p><ul>'
            for item in sorted(items):
                yield f'<li><a href="#{quote(anchor_of(name, item))}">{escape(item)}</a></li>'
            yield "</ul>"

    def found(self, name: str, kind: str, anchor: str, text: str) -> None:
        """Something that a search may find."""
        address = self.address + (f"#{quote(anchor)}" if anchor else "")
        self.index.append([name, kind, address, first_sentence(text)])

    def module(self, name: str) -> Iterator[str]:
        file, interface, docs = self.package.modules[name]
        items = self.names.shown(module_id(self.package.id, name))
        text = docs["texts"].get("", "")
        if not items and not text:
            return
        self.found(f"{self.package.label}/{name}", "module", anchor_of(name), text)
        yield f'<section><h2 id="{escape(anchor_of(name))}">module <code>{escape(name)}</code></h2>{markdown(text)}'
        for kind in ORDER:
            chosen = {item: value for item, value in sorted(items.items()) if value["kind"] == kind}
            if chosen:
                yield f"<h3>{TITLES[kind]}</h3>"
            for item, value in chosen.items():
                yield from self.item(name, file, item, value, interface, docs)
        yield "</section>"

    def item(self, module: str, file: str, name: str, value: Any, interface: Any, docs: Any) -> Iterator[str]:
        own = module_id(self.package.id, module)
        anchor = anchor_of(module, name)
        text = docs["texts"].get(name, "")
        self.found(name, value["kind"], anchor, text)

        def href(path: str) -> str | None:
            return self.href(own, path)

        line = docs["lines"].get(name)
        place = f'<span class="place">{escape(file)}{f":{line}" if line else ""}</span>'
        yield f'<article id="{escape(anchor)}"><pre class="signature">{item_html(name, value, href)}</pre>{place}'
        yield markdown(text)
        described = [
            ("Fields", [(f"{escape(n)}: {type_html(t, href)}" + (" = …" if default else ""), f"{name}.{n}") for n, t, default in value.get("fields", ())]),
            ("Variants", [(variant_html(n, payload, href), f"{name}.{n}") for n, payload in value.get("variants") or ()]),
            ("Constraints", [(f"<b>{escape(n)}</b>: {highlighted(rule)}", f"{name}.{n}") for n, rule in docs["rules"].get(name, ())]),
            ("Functions", [
                (function_html(n, function, href, belongs=True), f"{name}.{n}")
                for n, function in value.get("functions", {}).items() if function["vis"] == "pub"
            ]),
        ]  # fmt: skip
        for title, lines in described:
            if lines:
                yield f"<h4>{title}</h4><dl>"
                for said, key in lines:
                    member = docs["texts"].get(key, "")
                    yield f'<dt id="{escape(f"{module}.{key}")}"><code>{said}</code></dt><dd>{markdown(member)}</dd>'
                    if title == "Functions":
                        self.found(key, "function", f"{module}.{key}", member)
                yield "</dl>"
        traits = [one for one in interface["impls"] if one["trait"] and one["for"][:2] == ["name", name]]
        if traits:
            said = ", ".join(f"<code>{type_html(one['trait'], href)}</code>" for one in traits)
            yield f"<p>Implements {said}.</p>"
        yield "</article>"


def first_sentence(text: str) -> str:
    """The beginning of a text, for a list."""
    plain = " ".join(text.split("```")[0].split()).replace("`", "").replace("*", "")
    end = plain.find(". ")
    return (plain if end < 0 else plain[: end + 1])[:160]


@lru_cache(maxsize=1)
def _parser() -> Any:
    from markdown_it import MarkdownIt

    def fence(self: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
        token = tokens[at]
        words = token.info.split()
        is_dol = not words or words[0].lower() == "dol"
        content = token.content.rstrip("\n")
        code = highlighted(content) if is_dol else escape(content)
        # only a fence of backticks that stands by itself is taken out of the source
        is_run = is_example(token.info) and token.markup.startswith("`") and token.level == 0
        note = '<span class="tested">a test</span>' if is_run else ""
        return f"<pre><code>{code}</code>{note}</pre>\n"

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", fence)
    return parser


def markdown(text: str) -> str:
    """Text of documentation as HTML. Tags in it are text; links can only lead to the web, to mail, or to other pages."""
    return str(_parser().render(text)) if text.strip() else ""


def frame(title: str, navigation: str, main: str, base: str) -> str:
    """A page of the site. *base* leads to its root."""
    root = "" if base in ("", ".") else f"{base}/"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}style.css">
<script src="{root}index.js" defer></script>
<script src="{root}search.js" defer></script>
</head>
<body data-root="{root}">
<a class="skip" href="#content">To the text</a>
<header><a class="home" href="{root}index.html">All packages</a>
<div class="search"><input id="search" type="search" placeholder="Search ( / )" aria-label="Search the documentation" autocomplete="off"></div></header>
<div class="columns">
<nav aria-label="Contents">{navigation}</nav>
<main id="content" tabindex="-1">{main}</main>
</div>
</body>
</html>
"""
