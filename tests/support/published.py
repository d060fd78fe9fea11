"""Spirits to publish, and registries as plain files, without going through the command line."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from dolbuild.packages.archive import pack
from dolbuild.packages.index import Published, text_of, to_row
from dolbuild.packages.name import parse_name
from dolbuild.packages.tree import tree_digest


def library(
    name: str, version: str, requires: Mapping[str, str] | None = None, body: str = "", more: str = ""
) -> dict[str, str]:
    """The files of a Spirit with one function, ``<name>()``, that gives its version as text."""
    lines = "".join(f'    requires {package}: "{wanted}"\n' for package, wanted in (requires or {}).items())
    manifest = (
        f'spirit S {{\n    has name: "{name}"\n    has version: "{version}"\n    has lib: "src/lib.dol"\n'
        f'    has license: "MIT"\n{lines}{more}    exegesis {{ What {name} is for. }}\n}}\n'
    )
    function = name.replace("-", "_")
    source = body or f'pub fun {function}() -> String {{ return "{name} {version}" }}\n'
    return {"Spirit.dol": manifest, "src/lib.dol": source}


def app(*uses: str, requires: Mapping[str, str] | None = None, body: str = "", values: str = "") -> dict[str, str]:
    """The files of a Spirit ``app`` whose ``main`` prints what functions give. *uses* are like ``@acme/base.base``;
    *values* are ``requires`` entries as they are written."""
    lines = "".join(f'    requires {package}: "{wanted}"\n' for package, wanted in (requires or {}).items())
    imports = "use @univrs/std.io.println\n" + "".join(f"use {path}\n" for path in uses)
    calls = "".join(f"    println({path.rpartition('.')[2]}())\n" for path in uses)
    return {
        "app/Spirit.dol": 'spirit App {\n    has name: "app"\n    has version: "1.0.0"\n    has bin: "src/main.dol"\n    requires @univrs/std: "^1.0"\n'
        + lines + values + "}\n",
        "app/src/main.dol": body or f"{imports}sex fun main() {{\n{calls}}}\n",
    }  # fmt: skip


def put(
    registry: Path, organisation: str, files: Mapping[str, str], *, yanked: bool = False, **lies: object
) -> Published:
    """Add a version to a registry in a folder. *lies* replace fields of the index line."""
    from dolbuild.packages.fetch import manifest_of

    bytes_ = {path: text.encode() for path, text in files.items()}
    manifest = manifest_of(bytes_, "package")
    archive = pack(bytes_)
    name = parse_name(f"@{organisation}/{manifest.name}")
    fields: dict[str, object] = {
        "version": manifest.version, "sha256": hashlib.sha256(archive).hexdigest(), "tree": tree_digest(bytes_),
        "requires": tuple((one.name, one.wanted) for one in manifest.requires), "yanked": yanked,
    }  # fmt: skip
    published = Published(**{**fields, **lies})  # type: ignore[arg-type]
    path = registry / "packages" / organisation / manifest.name / f"{published.version}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive)
    index = registry / "index" / organisation / f"{manifest.name}.jsonl"
    index.parent.mkdir(parents=True, exist_ok=True)
    with index.open("a") as file:
        file.write(text_of([to_row(name.text, published)]))
    return published
