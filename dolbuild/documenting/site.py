"""What all pages share: the list of packages, the index that is searched, style and script."""

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from urllib.parse import quote

from dolbuild.documenting.page import address_of, frame

ASSETS = ("style.css", "search.js")


def assets() -> dict[str, bytes]:
    """Files as they ship."""
    return {name: files("dolbuild.documenting").joinpath(name).read_bytes() for name in ASSETS}


def index_script(entries: Iterable[list[str]]) -> bytes:
    """The search index. It is a script since a page that was opened from a disk may load no other file."""
    text = json.dumps(list(entries), ensure_ascii=False, separators=(",", ":"))
    return f"window.documentation = {text};\n".encode()


def front(title: str, packages: Iterable[tuple[str, str, str]]) -> bytes:
    """The first page: label, version and summary of each package."""
    rows = "".join(
        f'<tr><td><a href="{quote(address_of(label))}">{escape(label)}</a></td><td>{escape(version)}</td><td>{escape(summary)}</td></tr>'
        for label, version, summary in packages
    )
    main = f"<h1>{escape(title)}</h1><table><thead><tr><th>package</th><th>version</th><th>about</th></tr></thead><tbody>{rows}</tbody></table>"
    return frame(title, "", main, "").encode()
