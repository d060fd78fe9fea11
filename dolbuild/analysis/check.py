"""One module: its declarations, imports, signatures and bodies, against the interfaces of others."""

from dataclasses import dataclass, field
from typing import Any

from dolbuild.analysis import constant, interface
from dolbuild.analysis import typed as v
from dolbuild.analysis import types as ty
from dolbuild.analysis.context import RUNTIME, Context
from dolbuild.analysis.declarations import Declarations
from dolbuild.analysis.effects import Effects
from dolbuild.analysis.members import Members
from dolbuild.analysis.resolution import FACE, Target, Unresolved
from dolbuild.analysis.statements import Body
from dolbuild.analysis.system import MEMORY, System, describe
from dolbuild.analysis.world import Item, Missing, Scope, World, bound_name, symbol
from dolbuild.diagnostics import Diagnostic
from dolbuild.source import Span
from dolbuild.syntax import tree as t
from dolbuild.syntax.parser import Parsed

MAIN = "main"
"""The module of a Spirit's only binary, and the function that runs."""

_FIXED = frozenset(ty.ARITY) - {"Error"}
"""Built-in types that no module may declare anew."""

INITIALISER = "#init"
"""Behind a variable's symbol: the function that gives its first value."""

INITIALISED = object()
"""The value of a `v.Constant` whose initialiser says what it is."""

SYSTEM = "System"
"""The module name of a ``System.dol``."""


@dataclass(frozen=True, slots=True)
class Export:
    """A function that a Spirit's WebAssembly module exports, as the host sees it."""

    name: str
    symbol: str
    parameters: tuple[tuple[str, ty.Type], ...]
    result: ty.Type


@dataclass(slots=True)
class Checked:
    """What checking a module gives. `module` is complete only where no error was found."""

    module: v.Module = field(default_factory=v.Module)
    exports: list[Export] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    system: System | None = None
    declarations: Declarations = field(kw_only=True)


def check(parsed: Parsed, scope: Scope, world: World, effect_boundary: bool = False) -> Checked:
    """Check the module *scope* whose text is *parsed*.

    *world* holds the interfaces of the module's interface closure; the module itself need not be in it.
    """
    own = interface.whole(parsed, effect_boundary)
    world = World({**world.interfaces, scope.module: own}, world.resolutions, world.private)
    checker = _Checker(parsed, scope, world, effect_boundary)
    checker.module(parsed.file.items, scope)
    checker.unused(parsed.file.items, scope)
    exports = checker.exports(own)
    diagnostics = [*parsed.diagnostics, *checker.diagnostics()]
    return Checked(checker.result, exports, diagnostics, checker.system, declarations=checker.declarations)


class _Checker:
    def __init__(self, parsed: Parsed, scope: Scope, world: World, effect_boundary: bool) -> None:
        self.effect_boundary = effect_boundary
        self.parsed = parsed
        self.root = scope
        self.world = world
        self.declarations = Declarations(world)
        self.effects = Effects(parsed.file.items)
        self.result = v.Module()
        self.contexts: list[Context] = []
        self.constants: dict[str, tuple[t.Const | t.Variable, Members]] = {}
        self.values: dict[str, Any] = {}
        self.in_progress: set[str] = set()
        self.system: System | None = None

    def diagnostics(self) -> list[Diagnostic]:
        return [diagnostic for context in self.contexts for diagnostic in context.diagnostics]

    # -- declarations -----------------------------------------------------------------------------

    def module(self, items: list[t.Item], scope: Scope) -> None:
        context = Context(self.parsed.source, self.world, scope, self.effects)
        self.contexts.append(context)
        members = Members(context, self.declarations, self.result)
        self.duplicates(items, context)
        for item in items:
            if isinstance(item, t.Const | t.Variable):
                self.constants[symbol(scope, item.name)] = (item, members)
        for item in items:
            if isinstance(item, t.Use):
                self.use(item, context)
                if not item.everything:
                    context.imports |= {name for name, _ in _bound_names(item)}
        for number, item in enumerate(items):
            match item:
                case t.Use() | t.Exegesis():
                    pass
                case t.Function():
                    effectful = item.effectful or (item.name == MAIN and scope.path == (MAIN,))
                    members.function(item, symbol(scope, item.name), effectful=effectful)
                case t.Gene():
                    members.gene(item, scope)
                case t.System():
                    if scope.path != (SYSTEM,):
                        context.report(item, "E0113", "a system is declared in System.dol, not in a module")
                    members.gene(item, scope)
                    own = symbol(scope, item.name)
                    self.system = describe(item, own, context, self.declarations, self.result)
                case t.Trait():
                    members.trait(item, scope)
                case t.Impl():
                    members.impl(item, scope)
                case t.Const() | t.Variable():
                    self.constant(item, members)
                case t.Test():
                    self.test(item, members, number)
                case t.Module():
                    self.module(item.items, Scope(scope.module, (*scope.inner, item.name)))
                case t.Alias():
                    self.alias(item, context)
                case t.Header():
                    self.header(item, context)
                case t.HoleItem():
                    context.report(item, "W0301", "a hole: declarations are still to come here")
                case t.Spirit():
                    context.report(item, "E0113", "a spirit is declared in Spirit.dol, not in a module")
                case _:
                    context.report(item, "E0112", "this can stand only inside a gene, a trait, a Spirit or a System")

    def alias(self, item: t.Alias, context: Context) -> None:
        names = frozenset(generic.name for generic in item.generics)
        context.type(item.type, names)
        own = symbol(context.scope, item.name)
        self.world.type_of(["name", item.name, [["void"] for _ in names]], context.scope, frozenset())
        if own in self.world.loops:
            place = Span(item.name_start, item.name_start + len(item.name))
            context.report(place, "E0324", f"the type `{item.name}` is defined by itself", "a gene may hold itself")

    def duplicates(self, items: list[t.Item], context: Context) -> None:
        first: dict[str, t.Item] = {}
        for item in items:
            name = getattr(item, "name", None)
            if isinstance(item, t.Use) and not item.everything:
                self.duplicate_imports(item, first, context)
                continue
            if not isinstance(name, str) or isinstance(item, t.Test | t.Constraint | t.Law | t.HasField | t.Impl):
                continue
            if isinstance(item, t.Gene | t.Trait | t.Alias) and (name in ty.PRIMITIVES or name in _FIXED):
                place = Span(item.name_start, item.name_start + len(name))
                context.report(place, "E0209", f"`{name}` is a built-in type")
            if name in first:
                line = self.parsed.source.line_column(first[name].start)[0]
                start = getattr(item, "name_start", item.start)
                place = Span(start, start + len(name))
                context.report(place, "E0209", f"`{name}` is declared already in line {line}")
            else:
                first[name] = item

    def duplicate_imports(self, item: t.Use, first: dict[str, t.Item], context: Context) -> None:
        for name, place in _bound_names(item):
            before = first.get(name)
            if before is not None:
                line = self.parsed.source.line_column(before.start)[0]
                context.report(
                    place,
                    "E0209",
                    f"`{name}` is declared already in line {line}",
                    "give one of them another name with `as`",
                )
            first.setdefault(name, item)

    def header(self, item: t.Header, context: Context) -> None:
        expected = ".".join(context.scope.path)
        if item.path.text != expected:
            message = f"this file is the module `{expected}`, not `{item.path.text}`"
            context.report(item.path, "W0203", message, "the path of the file decides")

    def use(self, item: t.Use, context: Context) -> None:
        target = self.world.resolve(self.root.module, item.path.text)
        before = len(context.diagnostics)
        self.use_target(item, target, context)
        if len(context.diagnostics) > before:
            names = {name for name, _ in _bound_names(item)}
            context.used |= {(context.scope, name) for name in names}
            context.unresolved |= {
                name
                for name in names
                if not isinstance(self.world.member(context.scope, name, context.scope), Item | Scope)
            }

    def use_target(self, item: t.Use, target: Target | Unresolved, context: Context) -> None:
        """Report what an import names and does not find."""
        path = item.path.text
        if isinstance(target, Unresolved):
            context.explain(item.path, path, target)
            return
        found = self.world.follow(target, context.scope)
        if item.names is None and not item.everything:
            if isinstance(found, Item):
                self.may_reexport(item, found, item.path.span, context)
            elif not isinstance(found, Scope):
                context.explain(item.path, path, found)
            return
        if not isinstance(found, Scope):
            if isinstance(found, Item):
                context.report(item.path, "E0207", f"`{path}` is a {found.kind}, not a module")
            else:
                context.explain(item.path, path, found)
            return
        for name, _, start in item.names or ():
            inner = self.world.member(found, name, context.scope)
            place = Span(start, start + len(name))
            if isinstance(inner, Item):
                self.may_reexport(item, inner, place, context)
            elif not isinstance(inner, Scope):
                context.explain(place, name, inner)

    def may_reexport(self, item: t.Use, found: Item, place: Span, context: Context) -> None:
        """A ``pub use`` shows no more than the item's own visibility does."""
        visibility = t.Visibility(found.value["vis"])
        if item.visibility is t.Visibility.PUBLIC and visibility is not t.Visibility.PUBLIC:
            message = (
                f"`{found.name}` is `{visibility}` in module `{found.scope}`, so it cannot be shown to other Spirits"
            )
            context.report(place, "E0204", message, "declare it `pub` there, or leave it out here")

    # -- tests and constants ----------------------------------------------------------------------

    def test(self, item: t.Test, members: Members, number: int) -> None:
        name = symbol(members.context.scope, f"test#{number}")
        members.context.function = f'the test "{item.name}"'
        checker = Body(members.context, self.declarations, ty.VOID, effectful=True)
        body = checker.function([], item.body)
        self.result.functions.append(v.Function(name, [], ty.VOID, body, item.start))
        self.result.tests.append(v.Test(item.name, name, item.start))

    def constant(self, item: t.Const | t.Variable, members: Members) -> None:
        context = members.context
        name = symbol(context.scope, item.name)
        written = interface.literal_type(item.value) if item.type is None else None
        if item.type is None and written is None:
            place = Span(item.name_start, item.name_start + len(item.name))
            context.report(place, "E0314", f"the type of `{item.name}` must be written", "name: Type = value")
            return
        if item.type is not None:
            type_ = context.type(item.type)
        else:
            type_ = self.declarations.type(written, context.scope, frozenset())
        context.function = f"the constant `{item.name}`"
        try:
            value = self.value(name)
        except constant.NotConstant as error:
            if isinstance(item, t.Variable):
                self.initialiser(item, members, name, type_)
                return
            place = Span(error.start, max(item.value.end, error.start + 1))
            context.report(place, "E0316", f"`{item.name}` has no constant value: {error.reason}")
            return
        self.result.constants.append(v.Constant(name, type_, value, isinstance(item, t.Variable), item.start))

    def initialiser(self, item: t.Const | t.Variable, members: Members, name: str, type_: ty.Type) -> None:
        """A variable whose first value is computed when the program starts."""
        body = Body(members.context, self.declarations, ty.UNKNOWN, effectful=True)
        members.context.function = f"`{item.name}`"
        value = body.check(item.value, type_)
        body.settle()
        self.result.constants.append(v.Constant(name, type_, INITIALISED, True, item.start))
        self.result.functions.append(v.Function(f"{name}{INITIALISER}", [], type_, value, item.start))

    def value(self, name: str) -> Any:
        """The value of a constant, computed on first use."""
        if name in self.values:
            return self.values[name]
        if name not in self.constants:
            return self._foreign_value(name)
        item, members = self.constants[name]
        if name in self.in_progress:
            raise constant.NotConstant(item.value.start, "it is defined by itself")
        self.in_progress.add(name)
        expected = members.context.type(item.type) if item.type is not None else None
        self.values[name] = members.constant_value(item, expected, self.value)
        self.in_progress.discard(name)
        return self.values[name]

    def _foreign_value(self, name: str) -> Any:
        path = name.rpartition("/")[2]
        for id_, described in self.world.interfaces.items():
            if name.startswith(id_ + "."):
                value = described["items"].get(name[len(id_) + 1 :], {}).get("value")
                if value is not None:
                    return float(value[1]) if value[0] == "float" else value[1]
        raise constant.NotConstant(0, f"the value of `{path}` is known in its own module only, since it is no literal")

    # -- what is left unused, what is exported -----------------------------------------------------

    def unused(self, items: list[t.Item], scope: Scope) -> None:
        """Warn of private items and imports of the module's top level that nothing names."""
        if self.parsed.broken:
            return
        used = {name for context in self.contexts for where, name in context.used if where.module == scope.module}
        context = self.contexts[0]
        for item in items:
            if item.visibility is not t.Visibility.PRIVATE:
                continue
            if self.effect_boundary and not isinstance(item, t.Use):
                continue
            if isinstance(item, t.Use) and not item.everything:
                for bound, place in _bound_names(item):
                    if bound not in used:
                        context.report(place, "W0201", f"`{bound}` is imported but never used")
            elif (
                isinstance(item, t.Function | t.Const | t.Gene | t.Trait | t.Alias)
                and item.name not in used
                and item.name != MAIN
            ):
                if scope.package == RUNTIME:
                    continue
                place = Span(item.name_start, item.name_start + len(item.name))
                message = f"`{item.name}` is private and never used"
                context.report(place, "W0202", message, "declare it `pub`, or take it out")

    def exports(self, own: dict[str, Any]) -> list[Export]:
        """The functions that this module shows to the host, if it is a face or a binary."""
        names = {name for name, value in own["items"].items() if value["vis"] == "pub" or name == MAIN}
        for use in own["uses"]:
            if use["vis"] == "pub":
                if use["names"] is not None:
                    names |= {alias or name for name, alias in use["names"]}
                elif not use["all"]:
                    names.add(use["alias"] or use["path"].rsplit(".", 1)[-1])
        exports: list[Export] = []
        for name in sorted(names):
            found = self.world.member(self.root, name, self.root)
            if name == MEMORY and self.root.path == (FACE,):
                place = Span(0, 0)
                self.contexts[0].report(place, "E0212", f"a library cannot export `{name}`", "its memory has that name")
            if isinstance(found, Item) and found.kind == "function" and not found.value.get("generics"):
                export = self._export(name, found)
                if export is not None:
                    exports.append(export)
        return exports

    def _export(self, name: str, found: Item) -> Export | None:
        parameters: list[tuple[str, ty.Type]] = []
        for parameter, written, _ in found.value["params"]:
            type_ = self.world.type_of(written, found.scope, frozenset())
            if isinstance(type_, Missing):
                return None
            parameters.append((parameter, type_))
        result = self.world.type_of(found.value["result"], found.scope, frozenset())
        if isinstance(result, Missing):
            return None
        return Export(name, found.symbol, tuple(parameters), result)


def _bound_names(item: t.Use) -> list[tuple[str, Span]]:
    if item.names is not None:
        return [(alias or name, Span(start, start + len(name))) for name, alias, start in item.names]
    described = interface.describe_use(item)
    last = item.alias or item.path.parts[-1].rsplit(".", 1)[-1]
    assert bound_name(described, last) is not None
    return [(last, item.path.span)]


__all__ = ["FACE", "MAIN", "Checked", "Export", "check"]
