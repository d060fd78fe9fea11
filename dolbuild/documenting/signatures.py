"""Declarations as HTML: as they are written in DOL, with every name a link to what it means."""

import re
from collections.abc import Callable
from html import escape
from typing import Any

Href = Callable[[str], str | None]
"""The address of what a path means; None where there is no page for it."""

_TOKEN = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+')"
    r"|(?P<keyword>\b(?:fun|pub|use|sex|if|else|while|for|in|loop|match|forall|exists|return|break|continue|let|val|var|const|true|false|as|test|"
    r"system|spirit|module|law|type|requires|uses|mod|has|is|enum|constraint|trait|gene|impl|this|self)\b)"
    r"|(?P<number>\b\d[\d_]*(?:\.\d+)?\b)"
    r"|(?P<type>\b[A-Z]\w*\b)",
    re.DOTALL,
)


def highlighted(source: str) -> str:
    """Source of DOL with its words marked."""
    out: list[str] = []
    end = 0
    for found in _TOKEN.finditer(source):
        out.append(escape(source[end : found.start()]))
        out.append(f'<span class="{found.lastgroup}">{escape(found[0])}</span>')
        end = found.end()
    return "".join([*out, escape(source[end:])])


def type_html(type_: Any, href: Href) -> str:
    """A type."""
    match type_:
        case ["name", path, arguments]:
            address = href(path)
            name = f'<a href="{escape(address)}">{escape(path)}</a>' if address else escape(path)
            return f"{name}&lt;{_types(arguments, href)}&gt;" if arguments else name
        case ["tuple", items]:
            return f"({_types(items, href)})"
        case ["function", parameters, result]:
            return f"({_types(parameters, href)}) -&gt; {type_html(result, href)}"
        case ["record", fields]:
            inside = ", ".join(f"{escape(name)}: {type_html(field, href)}" for name, field in fields)
            return f"{{ {inside} }}"
        case _:
            return "()"


def _types(types: list[Any], href: Href) -> str:
    return ", ".join(type_html(one, href) for one in types)


def generics_html(generics: list[Any], href: Href) -> str:
    """Generic parameters, in their brackets."""
    if not generics:
        return ""
    said = []
    for name, bounds, default in generics:
        bounded = f": {' + '.join(type_html(one, href) for one in bounds)}" if bounds else ""
        said.append(escape(name) + bounded + (f" = {type_html(default, href)}" if default else ""))
    return f"&lt;{', '.join(said)}&gt;"


def function_html(name: str, value: Any, href: Href, *, belongs: bool = False) -> str:
    """A function's signature. *belongs*: it is one of a gene, trait or System."""
    parameters = ["self"] if belongs and value.get("self") else []
    for parameter, type_, default in value["params"]:
        said = f"{escape(parameter)}: {type_html(type_, href)}" if type_ else escape(parameter)
        parameters.append(f"{said} = …" if default else said)
    result = "" if value["result"] == ["void"] else f" -&gt; {type_html(value['result'], href)}"
    words = [word for word, is_there in (("pub", value.get("vis") == "pub"), ("sex", value["sex"])) if is_there]
    before = "".join(f"{_word(word)} " for word in (*words, "fun"))
    return f"{before}<b>{escape(name)}</b>{generics_html(value.get('generics', []), href)}({', '.join(parameters)}){result}"


def item_html(name: str, value: Any, href: Href) -> str:
    """The head of a declaration."""
    kind = value["kind"]
    if kind == "function":
        return function_html(name, value, href)
    generics = generics_html(value.get("generics", []), href)
    before = f"{_word('pub')} " if value.get("vis") == "pub" else ""
    head = f"{before}{_word(_WORDS[kind])} <b>{escape(name)}</b>{generics}"
    if kind in ("const", "variable"):
        given = value.get("value")
        shown = "" if not given else f" = {highlighted(_literal(*given))}"
        return head + (f": {type_html(value['type'], href)}" if value.get("type") else "") + shown
    if kind == "alias":
        return f"{head} = {type_html(value['type'], href)}"
    supers = value.get("supers") or ()
    return head + (f": {' + '.join(type_html(one, href) for one in supers)}" if supers else "")


_WORDS = {"const": "const", "variable": "var", "alias": "type", "gene": "gene", "trait": "trait", "system": "system"}


def _literal(kind: str, value: Any) -> str:
    if kind in ("string", "char"):
        quote = '"' if kind == "string" else "'"
        text = chr(value) if isinstance(value, int) else str(value)
        escaped = text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n")
        return quote + escaped + quote
    return str(value).lower() if kind == "bool" else str(value)


def _word(word: str) -> str:
    return f'<span class="keyword">{word}</span>'


def variant_html(name: str, payload: list[Any], href: Href) -> str:
    """A variant of an enum."""
    parts = [
        f"{escape(field)}: {type_html(type_, href)}" if field else type_html(type_, href) for field, type_ in payload
    ]
    return f"<b>{escape(name)}</b>" + (f"({', '.join(parts)})" if parts else "")
