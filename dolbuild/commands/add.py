"""``dolbuild add`` and ``dolbuild remove``: requirements of a Spirit, with the lock."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dolbuild.commands.lock import report
from dolbuild.commands.opening import Opened, WrongUsage, exclusive, flags, guarded, open_workspace, root_here
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.files import write_atomic
from dolbuild.packages.catalogue import WorkspaceCatalogue
from dolbuild.packages.edit import CannotEdit, remove_requirement, set_requirement
from dolbuild.packages.evaluate import show
from dolbuild.packages.fetch import MAX_FILE
from dolbuild.packages.lockfile import Lock
from dolbuild.packages.manifest import Manifest, Requirement
from dolbuild.packages.name import Kind, PackageName, WrongName, parse_name
from dolbuild.packages.package import is_external, is_standard, match_requirements, standard_manifest
from dolbuild.packages.problem import NOT_FOUND, problem
from dolbuild.packages.version import compatible_with, parse_version
from dolbuild.packages.wanted import WrongRequirement, parse_wanted
from dolbuild.rules.external import lock_fit, read_lock, search, write_lock
from dolbuild.rules.reading import Reading, ReadSpirit, read_workspace

ADD_USAGE = "dolbuild add [--spirit NAME] PACKAGE[@REQUIREMENT]..."
REMOVE_USAGE = "dolbuild remove [--spirit NAME] PACKAGE..."


def add(arguments: list[str]) -> int:
    """Require packages. Nothing is written unless versions of everything fit together."""

    def command() -> int:
        options, given = flags(arguments, ("--spirit=", "--offline"), ADD_USAGE)
        if not given:
            raise WrongUsage(f"which package? {ADD_USAGE}")
        with exclusive(root_here()), open_workspace(offline="--offline" in options) as opened:
            spirit = opened.spirit(options.get("--spirit", ""))
            text = _text(spirit)
            added: list[str] = []
            for one in given:
                name, wanted = _split(one)
                value = _value(name, wanted, opened)
                text = _edited(spirit, partial(set_requirement, text, name.text, value))
                added.append(f"{name} {value}")
            _finish(opened, spirit, text)
            for line in added:
                sys.stdout.write(f"{spirit.member.manifest_path} requires {line}\n")
            return 0

    return guarded(command)


def remove(arguments: list[str]) -> int:
    """Require packages no more."""

    def command() -> int:
        options, given = flags(arguments, ("--spirit=", "--offline"), REMOVE_USAGE)
        if not given:
            raise WrongUsage(f"which package? {REMOVE_USAGE}")
        with exclusive(root_here()), open_workspace(offline="--offline" in options) as opened:
            spirit = opened.spirit(options.get("--spirit", ""))
            text = _text(spirit)
            for one in given:
                text = _edited(spirit, partial(remove_requirement, text, _name(one).text))
            _finish(opened, spirit, text)
            for one in given:
                sys.stdout.write(f"{spirit.member.manifest_path} no longer requires {one}\n")
            return 0

    return guarded(command)


def _text(spirit: ReadSpirit) -> str:
    try:
        return spirit.data.decode("utf-8")
    except UnicodeDecodeError:
        raise DiagnosticError(in_file(spirit.member.manifest_path, "E0105", "this file is no UTF-8")) from None


def _edited(spirit: ReadSpirit, edit: Callable[[], str]) -> str:
    try:
        return edit()
    except CannotEdit as error:
        path = spirit.member.manifest_path
        raise DiagnosticError(in_file(path, "E1007", f"this manifest cannot be changed: {error}")) from None


def _finish(opened: Opened, spirit: ReadSpirit, text: str) -> None:
    """Write the manifest and the lock, if versions of everything fit together."""
    path = spirit.member.manifest_path
    reading = read_workspace(opened.reading.workspace, {path: text.encode()})
    wrong = reading.problems()
    for read in reading.spirits:
        if read.member.manifest_path == path and read.manifest is not None:
            wrong += _misfits(reading, read, read.manifest, opened)
    if wrong:
        raise DiagnosticError(*wrong)
    before = read_lock(opened.root) or Lock()
    found = lock_fit(reading, opened.sources, before)
    after = search(reading, opened.sources, before) if found.stale or found.unused else before
    write_atomic((opened.root / path).resolve(), text.encode())
    if after != before:
        write_lock(opened.root, after)
        report(before, after)


def _misfits(reading: Reading, read: ReadSpirit, manifest: Manifest, opened: Opened) -> list[Diagnostic]:
    """Requirements of a manifest that no member, no standard Spirit and no registry can meet."""
    available = {id_: found for id_, (found, _) in reading.members.items()}
    here: list[Requirement] = []
    for one in manifest.requires:
        if is_external(one.name, available, opened.sources.registries.url(one.name)):
            continue  # the search tells
        if is_standard(one.name):
            available.setdefault(one.name.id, standard_manifest(one.name.parts[1]))
        here.append(one)
    id_ = reading.package_id(manifest.name)
    problems = match_requirements(id_, replace(manifest, requires=tuple(here)), lambda: read.parsed.source, available)[
        1
    ]
    return [one.in_folder(read.member.folder) for one in problems]


def _split(text: str) -> tuple[PackageName, str]:
    """``@org/name@^1`` as a name and what is wanted."""
    package, _, wanted = text.rpartition("@")
    if not package:
        return _name(text), ""
    if not wanted:
        raise WrongUsage(f"`{text}` ends where a requirement should begin")
    return _name(package), wanted


def _name(text: str) -> PackageName:
    try:
        return parse_name(text)
    except WrongName as error:
        raise WrongUsage(f"`{text}`: {error}") from None


def _value(name: PackageName, wanted: str, opened: Opened) -> str:
    """What is required, as DOL writes it; what was not given is found out. Raises DiagnosticError and WrongUsage."""
    if not wanted:
        return _newest(name, opened)
    value: object = {"sha256": wanted.removeprefix("sha256:")} if name.kind is Kind.HTTPS else wanted
    try:
        parsed = parse_wanted(name, value)
    except WrongRequirement as error:
        raise WrongUsage(f"{error}; {error.hint}") from None
    return str(parsed)


def _newest(name: PackageName, opened: Opened) -> str:
    member = opened.reading.members.get(name.id)
    if member is not None:
        return show(compatible_with(member[0].version))
    if is_standard(name):
        return show(compatible_with(standard_manifest(name.parts[1]).version))
    if name.kind is Kind.HTTPS:
        answer = opened.sources.downloader.get(name.parts[0], MAX_FILE)
        if answer.status != 200:
            raise problem(NOT_FOUND, f"{name.parts[0]} answers {answer.status}")
        return f'{{ sha256: "{hashlib.sha256(answer.body).hexdigest()}" }}'
    if name.kind is Kind.GIT:
        return _of_repository(name, opened)
    catalogue = WorkspaceCatalogue({}, opened.sources, Lock())
    try:
        found = [one.version for one in catalogue.candidates(name, ())]
        if not found:
            raise problem("E1001", f"nothing is published as {name}", "", catalogue.inventory(name))
    finally:
        catalogue.close()
    finished = [version for version in found if not parse_version(version).prerelease]
    return show(compatible_with((finished or found)[0]))


def _of_repository(name: PackageName, opened: Opened) -> str:
    host, path, _ = name.parts
    branches = [
        r.removeprefix("refs/heads/") for r in opened.sources.git.refs(host, path) if r.startswith("refs/heads/")
    ]
    for usual in ("main", "master", "trunk"):
        if usual in branches:
            return show(usual)
    if len(branches) == 1:
        return show(branches[0])
    raise WrongUsage(f"which branch or tag of {name}? Write {name}@NAME")
