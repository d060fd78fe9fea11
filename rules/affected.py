"""What a change of files reaches: members, modules, tests and links, before any of it is built.

The interfaces of changed modules are compared with what they were, so a change of a body reaches only the links and tests that can hold
it. Which functions they reach is not asked: what is said to be affected may turn out to be a hit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dolbuild import compiler
from dolbuild.diagnostics import DiagnosticError
from dolbuild.packages.lockfile import LOCK_FILE
from dolbuild.packages.manifest import SPIRIT_FILE, SYSTEM_FILE, Manifest, read_manifest
from dolbuild.packages.package import Package
from dolbuild.rules.build import bring_up
from dolbuild.rules.module import EXAMPLES, module_path
from dolbuild.rules.pruning import Cone, is_same_shape, sources_of
from dolbuild.rules.session import Failed, Session
from dolbuild.settings import PYPROJECT, SETTINGS_FILE
from dolbuild.workspace import join

Before = Callable[[], bytes | None]
"""A file as it was; None where it was not there."""


@dataclass(frozen=True, slots=True)
class Affected:
    """Labels of members, and names of nodes. *whole*: the file that decides on everything, where one changed."""

    members: tuple[str, ...]
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    links: tuple[str, ...]
    manifests: tuple[str, ...]
    whole: str = ""

    def nodes(self, task: str) -> tuple[str, ...]:
        """The nodes that ``build``, ``check`` or ``test`` has to look at."""
        own = tuple(f"module:{name}" for name in self.modules)
        return {"build": self.manifests + self.links + own, "check": self.manifests + own}.get(task, self.tests)

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "members": list(self.members),
            "modules": list(self.modules),
            "tests": [name.removeprefix("test:") for name in self.tests],
            "links": list(self.links),
        }
        return value | ({"everything": self.whole} if self.whole else {})


def affected(session: Session, changed: Mapping[str, Before]) -> Affected:
    """What files that have changed reach. *changed* are paths in the workspace, with what was there before."""
    plan = session.plan
    whole = next((path for path in sorted(changed) if path in (SETTINGS_FILE, PYPROJECT, LOCK_FILE)), "")
    if whole:
        return _sorted(session, set(plan.nodes), whole)
    cone = Cone(plan, {})
    sources = sources_of(plan)
    manifests = {join(p.shown, SYSTEM_FILE if SYSTEM_FILE in p.modules.values() else SPIRIT_FILE): p
                 for p in plan.packages if p.is_member}  # fmt: skip
    for path, before in changed.items():
        if path in manifests:
            _manifest(session, cone, manifests[path], before())
        elif path.rpartition("/")[2] == SPIRIT_FILE:
            _requiring(session, cone, _manifest_of(before()))
        if path in sources:
            old = before()
            for package, module in sources[path]:
                if old is None:
                    cone.whole(package)
                else:
                    inside = module.startswith(EXAMPLES) or _has_same_interface(session, package, module, old)
                    cone.source(package, module, inside=inside)
        elif path.endswith(".dol") and path not in manifests:
            for package in _owners(plan.packages, path):
                cone.whole(package)
    unknown: set[str] = set()
    if cone.changes_interfaces:
        unknown = _take_closures(session)
        cone.closures = session.closures
    return _sorted(session, cone.close() | unknown, "")


def _has_same_interface(session: Session, package: Package, module: str, old: bytes) -> bool:
    file = module_path(package, module)
    try:
        now = session.read(package.folder / file, file)
    except DiagnosticError:
        return False
    before = compiler.extract_interface(file, module, old)
    after = compiler.extract_interface(file, module, now)
    return before.doli == after.doli


def _manifest(session: Session, cone: Cone, package: Package, old: bytes | None) -> None:
    before = _manifest_of(old)
    if not is_same_shape(before, package.manifest):
        cone.whole(package)
        _requiring(session, cone, before)
        _requiring(session, cone, package.manifest)
    cone.add(f"manifest:{package.label}")
    for node in session.plan.links.get(package.label, ()):
        cone.add(node)


def _manifest_of(data: bytes | None) -> Manifest | None:
    return None if data is None else read_manifest(compiler.parse_bytes(SPIRIT_FILE, data)).manifest


def _requiring(session: Session, cone: Cone, manifest: Manifest | None) -> None:
    """All that name a Spirit in what they require: those that do not find it any more are not among those that the plan knows."""
    if manifest is None:
        return
    for package in session.plan.packages:
        if any(one.name.text.rpartition("/")[2] == manifest.name for one in package.manifest.requires):
            cone.whole(package)
            cone.add(f"manifest:{package.label}")


def _owners(packages: tuple[Package, ...], path: str) -> list[Package]:
    """The member that a file belonged to that is gone."""
    return [p for p in packages if p.is_member and path.startswith((join(p.shown, "src/"), join(p.shown, "tests/")))]


def _take_closures(session: Session) -> set[str]:
    """Find the interfaces that each module depends on; gives the modules of which that cannot be told."""
    unknown: set[str] = set()
    seen: set[str] = set()
    for name in session.plan.nodes:
        if not name.startswith("module:") or name in session.closures:
            continue
        node = session.plan.nodes[name]
        try:
            for dependency in session.plan.expand(node.dependencies):
                bring_up(session, session.plan.nodes[dependency], seen)
            session.action(node)
        except (Failed, DiagnosticError):
            unknown.add(name)
    return unknown


def _sorted(session: Session, nodes: set[str], whole: str) -> Affected:
    own = {package.label for package in session.plan.packages if package.is_member}

    def label(name: str) -> str:
        rest = name.partition(":")[2]
        return rest if name.startswith(("manifest:", "spirit:", "system:")) else rest.rpartition("/")[0]

    kept = sorted(name for name in nodes if label(name) in own)
    return Affected(
        tuple(sorted({label(name) for name in kept})),
        tuple(name.removeprefix("module:") for name in kept if name.startswith("module:")),
        tuple(name for name in kept if name.startswith("test:")),
        tuple(name for name in kept if name.startswith(("spirit:", "system:"))),
        tuple(name for name in kept if name.startswith("manifest:")),
        whole,
    )
