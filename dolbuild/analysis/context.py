"""What every part of the checker of one module shares: the names in reach, and where reports go."""

from collections.abc import Iterable
from difflib import get_close_matches

from dolbuild.analysis import interface
from dolbuild.analysis import types as ty
from dolbuild.analysis.effects import Effects
from dolbuild.analysis.resolution import FACE, RUNTIME, Unresolved
from dolbuild.analysis.world import Ambiguous, Found, Hidden, Item, Missing, Scope, World
from dolbuild.diagnostics import Diagnostic, at
from dolbuild.source import SourceFile, Span
from dolbuild.syntax import tree as t

JSON = "@univrs/json"
"""The package of ``Json``, whose values literals become where one is expected; it may write instructions."""

__all__ = ["JSON", "RUNTIME", "Context"]
"""The package whose modules may write ``wasm.name(...)``."""

BUILT_IN_NAMES = (
    "None Some Ok Err assert assert_eq assert_ne assert_err sum min max len any all Option Result List Map Set Error"
).split()


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A hint with the name that was probably meant, or an empty text."""
    close = get_close_matches(name, [c for c in candidates if c != name], n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


class Context:
    """The module that is being checked, seen from one of its scopes."""

    def __init__(self, source: SourceFile, world: World, scope: Scope, effects: Effects) -> None:
        self.source = source
        self.effects = effects
        self.world = world
        self.scope = scope
        self.diagnostics: list[Diagnostic] = []
        self.function = "this"
        """The function whose body is checked, for messages."""
        self.used: set[tuple[Scope, str]] = set()
        self.imports: set[str] = set()
        """Names that imports of this scope bind."""
        self.unresolved: set[str] = set()
        """Names that an import was to bind and could not; that is reported once, at the import."""

    def report(self, node: t.Node | Span, code: str, message: str, hint: str = "", notes: Iterable[str] = ()) -> None:
        span = node if isinstance(node, Span) else node.span
        self.diagnostics.append(at(self.source, span, code, message, hint, notes))

    @property
    def may_write_instructions(self) -> bool:
        return self.scope.package in (RUNTIME, JSON)

    @staticmethod
    def is_found(found: Found) -> bool:
        """Whether a name leads to something that may be used."""
        return isinstance(found, Item | Scope)

    def shadows(self, node: t.Node | Span, name: str) -> None:
        """Warn of a variable that hides an import."""
        if name in self.imports:
            self.used.add((self.scope, name))
            self.report(
                node, "W0204", f"`{name}` hides what is imported under this name", "give one of them another name"
            )

    # -- names ------------------------------------------------------------------------------------

    def name(self, name: str) -> Found:
        """What a name means here: in this scope, or in one that encloses it in the same file."""
        scope = self.scope
        if name in self.unresolved:
            return Missing(scope, name, broken=True)
        while True:
            found = self.world.member(scope, name, self.scope)
            if not isinstance(found, Missing) or not scope.inner:
                break
            scope = Scope(scope.module, scope.inner[:-1])
        self.used.add((scope, name))
        return found

    def at_path(self, path: str) -> Found:
        """What an ``@org/name.item`` in this module means."""
        target = self.world.resolve(self.scope.module, path)
        return target if isinstance(target, Unresolved) else self.world.follow(target, self.scope)

    def names(self) -> tuple[str, ...]:
        """All names in reach, for suggestions."""
        return (*self.world.names(self.scope, self.scope), *BUILT_IN_NAMES)

    def explain(self, node: t.Node | Span, path: str, found: Found) -> None:
        """Report why *path* leads to no item that may be used here."""
        match found:
            case Missing(broken=True):
                pass  # the broken module reports itself
            case Missing(scope, name) if self._is_private(scope, name):
                self.explain(node, path, Hidden(scope, name, t.Visibility.PRIVATE))
            case Missing(scope, name):
                candidates = self.world.names(scope, self.scope)
                where = "" if scope == self.scope else f" in {_module_name(scope, self.scope)}"
                self.report(node, "E0203", f"there is no `{name}`{where}", did_you_mean(name, candidates))
            case Hidden(scope, name, visibility):
                other = scope.package != self.scope.package
                wider = "pub" if other else "pub(spirit)"
                module = _module_name(scope, self.scope)
                shown = "private" if visibility is t.Visibility.PRIVATE else f"`{visibility}`"
                self.report(
                    node,
                    "E0204",
                    f"`{name}` is {shown} in {module}",
                    f"declare it `{wider}` in {module} to use it here",
                )
            case Ambiguous(name, scopes):
                homes = sorted({_home(other, self.scope) for other in scopes})
                where = " and ".join(f"`{home}`" for home in homes)
                hint = f"write which one is meant: `{homes[0]}.{name}`"
                self.report(node, "E0211", f"`{name}` is exposed by {where}", hint)
            case Unresolved.NO_MODULE:
                first = path.split(".", 1)[0]
                self.report(
                    node,
                    "E0202",
                    f"there is no module `{first}` in this Spirit",
                    f"a module `{first}` would be the file src/{first}.dol",
                )
            case Unresolved.NOT_REQUIRED:
                package = path.split(".", 1)[0]
                self.report(
                    node,
                    "E0205",
                    f"`{package}` is not required by this Spirit",
                    f'add `requires {package}: "^1.0"` to Spirit.dol',
                )
            case Unresolved.NO_FACE:
                self.report(node, "E0206", f"`{path}` has no library: it declares no src/{FACE}.dol")
            case Scope():
                self.report(node, "E0207", f"`{path}` is a module, not a value")
            case Item():
                self.report(node, "E0207", f"`{path}` is a {found.kind}, which does not fit here")

    def _is_private(self, scope: Scope, name: str) -> bool:
        return scope.module != self.scope.module and ".".join((*scope.inner, name)) in self.world.private(scope.module)

    # -- types ------------------------------------------------------------------------------------

    def type(self, node: t.TypeNode | None, generics: frozenset[str] = frozenset()) -> ty.Type:
        """The type that is written at *node*; reported and `UNKNOWN` where there is none."""
        if node is None:
            return ty.UNKNOWN
        self._use_names(node)
        type_ = self.world.type_of(interface.type_json(node), self.scope, generics)
        if not isinstance(type_, Missing):
            return type_
        if not type_.broken and type_.name.split(".", 1)[0] not in self.unresolved:
            self._explain_type(node, type_)
        return ty.UNKNOWN

    def _explain_type(self, node: t.TypeNode, missing: Missing) -> None:
        found = self.world.type_item(missing.name, missing.scope)
        place = _find_type(node, missing.name) or node
        if missing.name in ty.ARITY or missing.name == "Fun":
            count = ty.ARITY.get(missing.name, 1)
            self.report(place, "E0311", f"`{missing.name}` takes {count} type argument{'s' if count != 1 else ''}")
        elif isinstance(found, Hidden | Ambiguous):
            self.explain(place, missing.name, found)
        else:
            names = [*ty.PRIMITIVES, *ty.ARITY, *self.names()]
            hint = did_you_mean(missing.name, names)
            self.report(place, "E0310", f"there is no type `{missing.name}`", hint)

    def _use_names(self, node: t.TypeNode) -> None:
        match node:
            case t.NamedType(path=path, arguments=arguments):
                self.used.add((self.scope, path.parts[0]))
                for argument in arguments:
                    self._use_names(argument)
            case t.TupleType(items=items):
                for item in items:
                    self._use_names(item)
            case t.FunctionType(parameters=parameters, result=result):
                for item in (*parameters, result):
                    self._use_names(item)
            case t.RecordType(fields=fields):
                for _, item in fields:
                    self._use_names(item)


def _home(scope: Scope, viewer: Scope) -> str:
    """How *viewer* writes the way to a scope: its module, or the other Spirit."""
    return str(scope) if scope.package == viewer.package else scope.package


def _module_name(scope: Scope, viewer: Scope) -> str:
    if scope.package == viewer.package:
        return f"module `{scope}`"
    return f"module `{scope}` of `{scope.package}`"


def _find_type(node: t.TypeNode, name: str) -> t.TypeNode | None:
    match node:
        case t.NamedType(path=path, arguments=arguments):
            if path.text == name:
                return node
            parts: Iterable[t.TypeNode] = arguments
        case t.TupleType(items=items):
            parts = items
        case t.FunctionType(parameters=parameters, result=result):
            parts = (*parameters, result)
        case t.RecordType(fields=fields):
            parts = [field for _, field in fields]
        case _:
            parts = ()
    for part in parts:
        found = _find_type(part, name)
        if found is not None:
            return found
    return None
