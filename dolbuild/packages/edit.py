"""Requirements of a manifest, changed in its text: everything else stays as it was written."""

from dolbuild.packages.manifest import SPIRIT_FILE, read_manifest
from dolbuild.packages.name import parse_name
from dolbuild.source import SourceFile
from dolbuild.syntax import tree as t
from dolbuild.syntax.parser import parse

INDENT = "    "


class CannotEdit(Exception):
    """The text is not such that it can be changed here."""


def set_requirement(text: str, package: str, value: str) -> str:
    """The text with ``requires <package>: <value>``, in place of what was required of the package, or after the last
    requirement. *value* is as DOL writes it. Raises CannotEdit."""
    spirit = _parse(text)
    found = _requirement(spirit, package)
    line = f"requires {package}: {value}"
    if found is not None:
        edited = text[: found.span.start] + line + text[found.span.end :]
    else:
        requirements = [entry for entry in spirit.entries if isinstance(entry, t.Requires)]
        others = [entry for entry in spirit.entries if isinstance(entry, t.HasValue)]
        if not (requirements or others):
            raise CannotEdit("there is no entry that it could stand after")
        after = (requirements or others)[-1].span
        begin = text.rfind("\n", 0, after.start) + 1
        indent = text[begin : after.start]
        between = "\n" + (indent if indent.strip() == "" else INDENT)
        if not requirements:
            between = "\n" + between
        edited = text[: after.end] + between + line + text[after.end :]
    return _checked(edited, package, present=True)


def remove_requirement(text: str, package: str) -> str:
    """The text without what was required of the package. Raises CannotEdit where nothing was."""
    spirit = _parse(text)
    found = _requirement(spirit, package)
    if found is None:
        raise CannotEdit(f"it does not require {package}")
    start, end = found.span.start, found.span.end
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop + 1
    if text[begin:start].strip() == "" and text[end:stop].strip(" \t\r\n;") == "":
        start, end = begin, stop
    return _checked(text[:start] + text[end:], package, present=False)


def _parse(text: str) -> t.Spirit:
    parsed = parse(SourceFile(SPIRIT_FILE, text))
    spirits = [item for item in parsed.file.items if isinstance(item, t.Spirit)]
    if parsed.broken or len(spirits) != 1:
        raise CannotEdit("it cannot be read as it is")
    return spirits[0]


def _requirement(spirit: t.Spirit, package: str) -> t.Requires | None:
    wanted = parse_name(package).id
    for entry in spirit.entries:
        if isinstance(entry, t.Requires) and entry.package.startswith("@"):
            try:
                if parse_name(entry.package).id == wanted:
                    return entry
            except ValueError:
                continue
    return None


def _checked(text: str, package: str, *, present: bool) -> str:
    read = read_manifest(parse(SourceFile(SPIRIT_FILE, text)))
    wanted = parse_name(package).id
    found = read.manifest is not None and any(one.name.id == wanted for one in read.manifest.requires)
    if found is not present:
        raise CannotEdit("the change would make it something else")
    return text
