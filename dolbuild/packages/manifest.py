"""``Spirit.dol``: what a Spirit says of itself, checked and evaluated."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dolbuild.analysis.context import did_you_mean
from dolbuild.diagnostics import Diagnostic, at, has_errors
from dolbuild.packages.evaluate import CannotEvaluate, Evaluator, show
from dolbuild.packages.name import PackageName, WrongName, parse_name
from dolbuild.packages.version import is_version
from dolbuild.packages.wanted import Wanted, WrongRequirement, parse_wanted
from dolbuild.source import Span
from dolbuild.syntax import tree as t
from dolbuild.syntax.parser import Parsed

SPIRIT_FILE = "Spirit.dol"
SYSTEM_FILE = "System.dol"

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
"""Names of Spirits; they become parts of paths."""

MAX_NAME = 64
_TEXTS = ("name", "version", "license", "repository", "description", "lib", "bin")
_KNOWN = (*_TEXTS, "authors", "bins", "requires", "constraint", "exegesis")
_SOURCE_PATH = re.compile(r"src/(?:[A-Za-z_][A-Za-z0-9_]*/)*[A-Za-z_][A-Za-z0-9_]*\.dol")


class Report(Protocol):
    """Takes what is wrong at a node."""

    def __call__(self, node: t.Node | Span, code: str, message: str, hint: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Requirement:
    """``requires @org/name: "^1.0"``. *value* is as it was written: a version requirement, a branch, or a record."""

    name: PackageName
    wanted: Wanted
    value: Any
    span: Span

    @property
    def package(self) -> str:
        """The name as it was written, with which imports of the package begin."""
        return self.name.text


@dataclass(frozen=True, slots=True)
class Manifest:
    """A Spirit's manifest. *bins* are pairs (name, path below the Spirit's folder)."""

    name: str
    version: str
    lib: str | None = None
    bins: tuple[tuple[str, str], ...] = ()
    requires: tuple[Requirement, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    exegesis: str = ""

    def to_json(self) -> dict[str, Any]:
        """What the Spirit's WebAssembly module carries of it."""
        return {
            "values": dict(self.values),
            "requires": {requirement.package: requirement.value for requirement in self.requires},
            "exegesis": self.exegesis,
        }


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """A manifest (None where it says too little to go on) with everything that is wrong with it."""

    manifest: Manifest | None
    diagnostics: tuple[Diagnostic, ...]


def read_manifest(parsed: Parsed) -> ReadManifest:
    """Read the tree of a ``Spirit.dol``; evaluates its values and constraints."""
    reader = _Reader(parsed)
    manifest = reader.read()
    return ReadManifest(manifest, (*parsed.diagnostics, *reader.diagnostics))


class _Reader:
    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.diagnostics: list[Diagnostic] = []
        self.values: dict[str, Any] = {}
        self.evaluator = Evaluator(self.values)
        self.places: dict[str, Span] = {}

    def report(self, node: t.Node | Span, code: str, message: str, hint: str = "") -> None:
        span = node if isinstance(node, Span) else node.span
        self.diagnostics.append(at(self.parsed.source, span, code, message, hint))

    def read(self) -> Manifest | None:
        spirits = [item for item in self.parsed.file.items if isinstance(item, t.Spirit)]
        if not spirits:
            if not self.parsed.broken:
                hint = 'a manifest is `spirit Name { has name: "name"; has version: "1.0.0" }`'
                self.report(Span(0, 0), "E0602", f"{SPIRIT_FILE} declares no spirit", hint)
            return None
        spirit = spirits[0]
        for extra in spirits[1:]:
            self.report(Span(extra.name_start, extra.name_start + len(extra.name)), "E0602",
                        f"{SPIRIT_FILE} declares more than one spirit")  # fmt: skip
        requirements: list[Requirement] = []
        exegesis: list[str] = [item.text for item in self.parsed.file.items if isinstance(item, t.Exegesis)]
        for entry in spirit.entries:
            match entry:
                case t.HasValue():
                    self.has(entry)
                case t.Requires():
                    requirement = self.requires(entry, requirements)
                    if requirement is not None:
                        requirements.append(requirement)
                case t.Exegesis(text=text):
                    exegesis.append(text)
                case t.HoleItem():
                    self.report(entry, "W0301", "a hole: more of the manifest is still to come here")
        for entry in spirit.entries:
            if isinstance(entry, t.Constraint):
                self.constraint(entry)
        return self.manifest(spirit, requirements, "\n\n".join(exegesis))

    def has(self, entry: t.HasValue) -> None:
        if entry.name in self.values:
            self.report(entry, "E0603", f"`{entry.name}` is given twice")
            return
        try:
            value = self.evaluator.value(entry.value)
        except CannotEvaluate as error:
            self.report(error.node, "E0502", f"`{entry.name}` has no value: {error.reason}")
            value = None
        else:
            value = self.checked(entry, value)
        self.values[entry.name] = value
        self.places[entry.name] = entry.value.span
        hint = did_you_mean(entry.name, _KNOWN)
        if entry.name not in _KNOWN and hint:
            self.report(
                Span(entry.start, entry.value.start), "W0601", f"`{entry.name}` means nothing to the build", hint
            )

    def checked(self, entry: t.HasValue, value: Any) -> Any:
        """The value, or None where it has the wrong type for its name."""
        wrong = ""
        if entry.name in _TEXTS and not isinstance(value, str):
            wrong = "a text"
        elif entry.name == "authors" and not _is_texts(value):
            wrong = "a list of texts"
        elif entry.name == "bins" and not _is_bins(value):
            wrong = 'a list of `{ name: "...", path: "..." }`'
        if wrong:
            self.report(entry.value, "E0603", f"`{entry.name}` is {wrong}, not {show(value)}")
            return None
        return value

    def requires(self, entry: t.Requires, before: list[Requirement]) -> Requirement | None:
        try:
            value = self.evaluator.value(entry.value)
        except CannotEvaluate as error:
            self.report(error.node, "E0502", f"`{entry.package}` is required in no way: {error.reason}")
            return None
        requirement = requirement_of(entry, value, self.report)
        if requirement is not None and any(requirement.name.id == other.name.id for other in before):
            self.report(entry, "E0603", f"`{entry.package}` is required twice")
            return None
        return requirement

    def constraint(self, entry: t.Constraint) -> None:
        evaluator = self.evaluator
        conditions = [s for s in entry.body.statements if not isinstance(s, t.Exegesis)]
        for condition in conditions:
            try:
                holds = evaluator.truth(condition)
            except CannotEvaluate as error:
                self.report(error.node, "E0502", f"constraint `{entry.name}` cannot be told: {error.reason}")
                continue
            if not holds:
                used = sorted(_used_values(condition) & self.values.keys())
                given = ", ".join(f"{name} = {show(self.values[name])}" for name in used)
                message = f"constraint `{entry.name}` does not hold"
                self.report(condition, "E0501", message, f"here {given}" if given else "")

    def manifest(self, spirit: t.Spirit, requires: list[Requirement], exegesis: str) -> Manifest | None:
        head = Span(spirit.name_start, spirit.name_start + len(spirit.name))
        for wanted, example in (("name", '"my-spirit"'), ("version", '"1.0.0"')):
            if wanted not in self.values:
                self.report(head, "E0601", f"spirit `{spirit.name}` has no {wanted}", f"add `has {wanted}: {example}`")
        name, version = self.values.get("name"), self.values.get("version")
        if isinstance(name, str) and (NAME.fullmatch(name) is None or len(name) > MAX_NAME):
            self.report(self.places["name"], "E0604", f"{show(name)} is no name for a Spirit",
                        "use lower-case letters, digits and single hyphens")  # fmt: skip
            name = None
        if isinstance(version, str) and not is_version(version):
            self.report(self.places["version"], "E0604", f"{show(version)} is no semantic version", 'write "1.0.0"')
            version = None
        lib = self.source_path("lib", self.values.get("lib"))
        bins: list[tuple[str, str]] = []
        bin_ = self.source_path("bin", self.values.get("bin"))
        if bin_ is not None:
            bins.append((bin_.rpartition("/")[2].removesuffix(".dol"), bin_))
        for entry in self.values.get("bins") or ():
            path = self.source_path("bins", entry["path"])
            if path is not None and NAME.fullmatch(entry["name"]):
                bins.append((entry["name"], path))
        if name is None or version is None:
            return None
        return Manifest(name, version, lib, tuple(bins), tuple(requires), self.values, exegesis)

    def source_path(self, name: str, value: Any) -> str | None:
        if not isinstance(value, str):
            return None
        if _SOURCE_PATH.fullmatch(value) is None:
            self.report(self.places[name], "E0605", f"{show(value)} is no source file of this Spirit",
                        "entry points are files below src/, such as src/lib.dol")  # fmt: skip
            return None
        return value


def requirement_of(entry: t.Requires, value: Any, report: Report) -> Requirement | None:
    """A ``requires`` or ``uses`` entry with its evaluated value; None where it cannot be understood, which is reported."""
    if entry.package.startswith("@") and not entry.package.startswith(("@git:", "@https://")) and "." in entry.package:
        report(entry, "E0606", "a requirement names a package, not a module in it")
        return None
    try:
        name = parse_name(entry.package)
        return Requirement(name, parse_wanted(name, value), value, entry.span)
    except WrongName as error:
        report(entry, "E0606", f"`{entry.package}` is no package: {error}")
    except WrongRequirement as error:
        report(entry.value, "E0606", str(error), error.hint)
    return None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_bins(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and set(item) == {"name", "path"} and all(isinstance(v, str) for v in item.values())
        for item in value
    )


def _used_values(node: t.Node) -> set[str]:
    """The names behind ``this.`` in an expression."""
    return {
        part.name
        for part in t.walk(node)
        if isinstance(part, t.Member) and isinstance(part.value, t.Name) and part.value.name == "this"
    }


__all__ = ["SPIRIT_FILE", "SYSTEM_FILE", "Manifest", "ReadManifest", "Requirement", "has_errors", "read_manifest"]
