"""``dolbuild publish`` and ``dolbuild yank``."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator

from dolbuild import compiler
from dolbuild.analysis.changes import compare
from dolbuild.commands.opening import Opened, WrongUsage, flags, guarded, open_workspace, show
from dolbuild.diagnostics import Diagnostic, DiagnosticError, in_file
from dolbuild.packages.archive import pack, unpack
from dolbuild.packages.index import Published
from dolbuild.packages.manifest import SPIRIT_FILE, Manifest
from dolbuild.packages.name import Kind, PackageName, WrongName, parse_name
from dolbuild.packages.package import is_standard
from dolbuild.packages.publish import REFUSED, FolderTarget, NewVersion, ServerTarget, Target, already, publish, yank
from dolbuild.packages.registry import FileRegistry, HttpRegistry, Registries, Registry
from dolbuild.packages.tree import WrongTree, files_of, tree_digest
from dolbuild.packages.version import parse_version, satisfies, version_key
from dolbuild.packages.wanted import Versions
from dolbuild.rules.build import Access, bring_up, open_session
from dolbuild.rules.reading import ReadSpirit
from dolbuild.rules.report import Report
from dolbuild.rules.session import Failed
from dolbuild.settings import registry_problem

PUBLISH_USAGE = "dolbuild publish [--registry ADDRESS] [--dry-run] [SPIRIT]"
YANK_USAGE = "dolbuild yank [--registry ADDRESS] [--undo] PACKAGE@VERSION"


def run(arguments: list[str]) -> int:
    """Check a Spirit and publish it."""

    def command() -> int:
        options, names = flags(arguments, ("--registry=", "--dry-run"), PUBLISH_USAGE)
        if len(names) > 1:
            raise WrongUsage(f"one Spirit at a time; {PUBLISH_USAGE}")
        with open_workspace() as opened:
            spirit = opened.spirit(names[0] if names else "")
            if spirit.manifest is None:
                raise DiagnosticError(*(d.in_folder(spirit.member.folder) for d in spirit.diagnostics))
            name = parse_name(opened.reading.package_id(spirit.manifest.name))
            registry, target = _target(opened, name, options.get("--registry"))
            release = _release(opened, spirit, spirit.manifest, name, registry)
            if release is None:
                return 1
            if "--dry-run" not in options:
                publish(release, target)
        done = "would be published" if "--dry-run" in options else "published"
        size, digest = len(release.archive), release.published.sha256
        sys.stdout.write(f"{name} {release.published.version} {done}: {size} bytes, sha256:{digest}\n")
        return 0

    return guarded(command)


def _release(
    opened: Opened, spirit: ReadSpirit, manifest: Manifest, name: PackageName, registry: Registry
) -> NewVersion | None:
    """What is published, when nothing speaks against it; None where its tests do (and that was shown). Raises
    DiagnosticError."""
    problems = list(_problems(opened, spirit, manifest, registry))
    files = _files(opened, spirit)
    if not problems and not _is_green(opened, manifest.name):
        return None
    problems += _semver(name, manifest, files, registry)
    if problems:
        raise DiagnosticError(*problems)
    archive = pack(files)
    try:
        unpack(archive)
    except WrongTree as error:
        raise DiagnosticError(in_file(spirit.member.folder, REFUSED, f"this is no package: {error}")) from None
    requires = tuple((one.name, one.wanted) for one in manifest.requires)
    sha256 = hashlib.sha256(archive).hexdigest()
    return NewVersion(name, Published(manifest.version, sha256, tree_digest(files), requires), archive)


def run_yank(arguments: list[str]) -> int:
    """Take a version back, or put it there again."""

    def command() -> int:
        options, names = flags(arguments, ("--registry=", "--undo"), YANK_USAGE)
        package, _, version = (names[0] if len(names) == 1 else "").rpartition("@")
        if not package:
            raise WrongUsage(f"which version? {YANK_USAGE}")
        try:
            name = parse_name(package)
        except WrongName as error:
            raise WrongUsage(f"`{package}`: {error}") from None
        if name.kind is not Kind.REGISTRY:
            raise WrongUsage(f"{package} is not published in a registry")
        with open_workspace() as opened:
            yank(name, version, _target(opened, name, options.get("--registry"))[1], undo="--undo" in options)
        sys.stdout.write(f"{name} {version} is {'there again' if '--undo' in options else 'yanked'}\n")
        return 0

    return guarded(command)


def _target(opened: Opened, name: PackageName, address: str | None) -> tuple[Registry, Target]:
    """The registry that is published to. Raises DiagnosticError where there is none."""
    registries = opened.sources.registries
    if address is not None:
        wrong = registry_problem(name.parts[0], address)
        if wrong:
            raise WrongUsage(wrong)
        settings = {name.parts[0]: address.rstrip("/")}
        registries = Registries(
            settings, name.parts[0], opened.root, opened.sources.home / "cache", opened.sources.downloader, os.environ
        )
    registry = registries.of(name)
    if registry is None:
        hint = f'give --registry ADDRESS, or [registries] {name.parts[0]} = "https://…" in the settings'
        raise DiagnosticError(Diagnostic(REFUSED, f"no registry is configured for @{name.parts[0]}", hint=hint))
    match registry.files:
        case HttpRegistry() as files:
            return registry, ServerTarget(files)
        case FileRegistry() as files:
            files.created = True
            return registry, FolderTarget(files)
        case _:
            raise AssertionError(registry)


def _files(opened: Opened, spirit: ReadSpirit) -> dict[str, bytes]:
    try:
        return files_of(opened.root / spirit.member.folder)
    except WrongTree as error:
        raise DiagnosticError(in_file(spirit.member.folder, REFUSED, f"this is no package: {error}")) from None


def _problems(opened: Opened, spirit: ReadSpirit, manifest: Manifest, target: Registry) -> Iterator[Diagnostic]:
    """What keeps a Spirit from being published, as far as its manifest tells."""
    path = spirit.member.manifest_path
    if not manifest.values.get("license"):
        yield in_file(path, REFUSED, "a published Spirit has a license", 'add `has license: "MIT"`, or whichever it is')
    if not manifest.exegesis.strip():
        yield in_file(path, REFUSED, "a published Spirit says what it is for", "add `exegesis { … }`")
    if manifest.lib is None and not manifest.bins:
        yield in_file(path, REFUSED, "there is nothing in it", 'add `has lib: "src/lib.dol"`')
    for one in manifest.requires:
        if one.name.kind is Kind.GIT:
            hint = "publish what it requires first"
            yield in_file(path, REFUSED, f"a published Spirit requires published ones, not {one.name}", hint)
        elif one.name.id in opened.reading.members and not is_standard(one.name):
            yield from _member_is_published(target, path, one.name, one.wanted)


def _member_is_published(target: Registry, path: str, name: PackageName, wanted: object) -> Iterator[Diagnostic]:
    versions = target.versions(name)
    assert isinstance(wanted, Versions)
    if not any(satisfies(version, wanted.text) for version in versions or ()):
        yield in_file(path, REFUSED, f"no published version of {name} meets {wanted}", f"publish {name} first")


def _is_green(opened: Opened, name: str) -> bool:
    """Build the Spirit and run its tests; False (and shown) where that fails."""
    session = open_session(opened.root, access=Access())
    report = Report(session)
    wanted = [
        n for n in session.plan.nodes if n == f"spirit:{name}" or n.startswith((f"test:{name}/", f"module:{name}/"))
    ]
    seen: set[str] = set()
    for node in sorted(wanted):
        try:
            bring_up(session, session.plan.nodes[node], seen)
        except Failed:
            continue
    session.close()
    if report.failed:
        show(d for d in report.diagnostics if d.code.startswith("E"))
        sys.stderr.write(f"error: {name} is not published: it does not build, or its tests fail\n")
    return not report.failed


def _semver(name: PackageName, manifest: Manifest, files: dict[str, bytes], registry: Registry) -> Iterator[Diagnostic]:
    """Refuse a version that promises more than it keeps: the public interface is compared with that of the last published
    version before it."""
    versions = registry.versions(name) or {}
    if manifest.version in versions:
        yield from already(name, manifest.version).diagnostics
        return
    new = version_key(manifest.version)
    before = [
        v for v, p in versions.items() if version_key(v) < new and not p.yanked and not parse_version(v).prerelease
    ]
    if not before or parse_version(manifest.version).prerelease:
        return
    last = before[-1]
    try:
        old = unpack(registry.archive(name, last, versions[last].sha256))
    except WrongTree as error:
        yield Diagnostic(REFUSED, f"{name} {last}, which was published before it, is no package: {error}")
        return
    found = compare(_interfaces(old), _interfaces(files))
    breaking = [change for change in found if change.breaking]
    added = [change for change in found if not change.breaking]
    parsed, parsed_last = parse_version(manifest.version), parse_version(last)
    if breaking and satisfies(manifest.version, f"^{last}"):
        wanted = parsed_last.bump_major() if parsed_last.major else parsed_last.bump_minor()
        message = f"{name} {manifest.version} breaks what {last} promised"
        notes = tuple(map(str, breaking))
        yield Diagnostic(REFUSED, message, hint=f"a breaking change needs version {wanted}", notes=notes)
    elif added and parsed.major and (parsed.major, parsed.minor) == (parsed_last.major, parsed_last.minor):
        sys.stderr.write(f"warning: {name} {manifest.version} has more than {last}; a minor version would say so:\n")
        sys.stderr.writelines(f"  {change}\n" for change in added)


def _interfaces(files: dict[str, bytes]) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for path, data in files.items():
        if path.startswith("src/") and path != SPIRIT_FILE:
            module = path.removeprefix("src/").removesuffix(".dol").replace("/", ".")
            found[module] = json.loads(compiler.extract_interface(path, module, data).doli)
    return found
