"""``dolbuild exec``: run a binary of a Spirit, call a function of its library, or one of a System."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dolbuild.commands.grants import USAGE as GRANTS
from dolbuild.commands.grants import Grants
from dolbuild.commands.opening import tell
from dolbuild.diagnostics import Diagnostic, DiagnosticError, render
from dolbuild.rules.build import Access, bring_up, open_session
from dolbuild.rules.node import Node
from dolbuild.rules.report import Report
from dolbuild.rules.session import Failed, Session
from dolbuild.runtime.capabilities import Capabilities
from dolbuild.terminal import wants_color
from dolbuild.workspace import NO_WORKSPACE, find_root

USAGE = 2
INTERRUPTED = 130
TRAPPED = 134
"""Exit status of a program that trapped (as a shell shows an abort)."""


def run(arguments: list[str]) -> int:
    """Run the command; gives the exit status, for a binary the one that its ``main`` returns."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: {USAGE_LINE}\n")
        return 0
    try:
        options, arguments = _options(arguments)
    except ValueError as error:
        return _usage(str(error))
    if not arguments:
        return _usage(USAGE_LINE)
    root = find_root(Path.cwd())
    if root is None:
        sys.stderr.write(NO_WORKSPACE)
        return USAGE
    name, *rest = arguments
    try:
        session = open_session(root, release=options.release, access=Access(tell=tell))
        node = session.plan.nodes.get(f"spirit:{name}") or session.plan.nodes.get(f"system:{name}")
        if node is None:
            known = sorted(n.partition(":")[2] for n in session.plan.nodes if n.startswith(("spirit:", "system:")))
            return _usage(f"there is no Spirit or System `{name}` here; there are: {', '.join(known) or 'none'}")
        if node.name.startswith("spirit:") and (options.state is not None or options.keep is not None):
            return _usage(f"`{name}` is a Spirit; only Systems have a state")
        if not bring_up_to_date(session, node):
            return 1
    except DiagnosticError as error:
        for diagnostic in error.diagnostics:
            sys.stderr.write(render(diagnostic, color=wants_color(sys.stderr)))
        return 1
    if node.name.startswith("system:"):
        return _run_system(session, node, name, rest, options)
    return _run_artifact(session, node, name, rest, options.grants.capabilities)


@dataclass(slots=True)
class _Options:
    release: bool = False
    grants: Grants = field(default_factory=Grants)
    state: str | None = None
    keep: str | None = None
    accept_loss: bool = False


USAGE_LINE = (
    f"dolbuild exec [--release] {GRANTS} SPIRIT [FUNCTION] [ARGUMENT...], "
    "or dolbuild exec [--state=JSON|@FILE] [--keep[=FOLDER]] [--accept-loss] SYSTEM [FUNCTION] [JSON...]"
)


def _options(arguments: list[str]) -> tuple[_Options, list[str]]:
    """The options before the name of the Spirit, and what follows them. Raises ValueError."""
    options = _Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        argument = rest.pop(0)
        option, given, value = argument.partition("=")
        if option == "--release" and not given:
            options.release = True
        elif option == "--state" and value:
            options.state = value
        elif option == "--accept-loss" and not given:
            options.accept_loss = True
        elif option == "--keep":
            options.keep = value
        elif not options.grants.take(argument):
            raise ValueError(f"`{argument}` is no option of `dolbuild exec`; {USAGE_LINE}")
    return options, rest


def _usage(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return USAGE


def bring_up_to_date(session: Session, node: Node) -> bool:
    """Bring a node and what it needs up to date, quietly; False where that failed (and was shown)."""
    report = Report(session)
    report.diagnostics.clear()
    try:
        bring_up(session, node, set())
    except Failed:
        pass
    session.close()
    session.leave({})
    if report.failed:
        for diagnostic in report.diagnostics:
            sys.stderr.write(render(diagnostic, color=wants_color(sys.stderr)) + "\n")
        return False
    return True


def _run_system(session: Session, node: Node, name: str, arguments: list[str], options: _Options) -> int:
    """Call a function of a System with JSON, and print what it gives."""
    from dolbuild.commands import systems
    from dolbuild.runtime.host import Host

    wasm = systems.built_module(session.root, node)
    folder = None if options.keep is None else Path(options.keep or session.root / systems.KEPT / name)
    host = Host(options.grants.capabilities)
    opened = None
    try:
        state = systems.read_state(options.state)
        running, opened = systems.open_system(wasm, host, state, folder, accept_loss=options.accept_loss)
        for said in opened.said if opened is not None else ():
            sys.stderr.write(f"{said}\n")
        if not arguments:
            sys.stdout.write(systems.functions(running))
            return 0
        sys.stdout.write(systems.as_text(systems.call(running, arguments[0], arguments[1:])))
    except systems.WrongJson as error:
        return _usage(str(error))
    except DiagnosticError as error:
        systems.show(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        host.close()
        if opened is not None:
            opened.close()
    return 0


def _run_artifact(session: Session, node: Node, name: str, arguments: list[str], capabilities: Capabilities) -> int:
    from dolbuild.runtime.host import Host
    from dolbuild.runtime.instance import Program, Trapped

    host = Host(capabilities)

    library = [path for path, artifact in node.targets.items() if artifact == "lib.wasm"]
    binaries = {
        artifact.removesuffix(".wasm"): path for path, artifact in node.targets.items() if artifact != "lib.wasm"
    }
    try:
        if library and arguments:
            program = Program((session.root / library[0]).read_bytes())
            export = _export(program.exports, arguments[0])
            if export is not None:
                return _call(program, host, export, arguments[1:])
        if binaries:
            chosen = "main" if "main" in binaries else sorted(binaries)[0]
            if len(binaries) > 1 and arguments and arguments[0] in binaries:
                chosen, arguments = arguments[0], arguments[1:]
            return _main(Program((session.root / binaries[chosen]).read_bytes()), host, [name, *arguments])
        if not library:
            return _usage(f"`{name}` has neither a library nor a binary")
        exports = Program((session.root / library[0]).read_bytes()).exports
        shown = "\n".join(f"  {_signature(export)}" for export in exports)
        wanted = f"`{name}` has no function `{arguments[0]}`" if arguments else f"`{name}` has no binary"
        return _usage(f"{wanted}; its library has:\n{shown}")
    except Trapped as trapped:
        sys.stdout.flush()
        sys.stderr.write(show_trap(trapped.message, trapped.frames))
        return TRAPPED
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        host.close()


def _export(exports: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((export for export in exports if export["name"] == name), None)


def _signature(export: dict[str, Any]) -> str:
    from dolbuild.runtime.values import show_type

    parameters = ", ".join(f"{name}: {show_type(kind)}" for name, kind in export["parameters"])
    return f"{export['name']}({parameters}) -> {show_type(export['result'])}"


def _call(program: Any, host: Any, export: dict[str, Any], arguments: list[str]) -> int:
    """Call a library's function with arguments parsed by its types, and print what it gives."""
    from dolbuild.runtime.values import WrongValue, parse_value, show_value

    parameters = export["parameters"]
    if len(arguments) != len(parameters):
        return _usage(f"{_signature(export)} takes {len(parameters)} arguments, found {len(arguments)}")
    values: list[Any] = []
    for (parameter, kind), text in zip(parameters, arguments, strict=True):
        try:
            values.append(parse_value(kind, text))
        except WrongValue as error:
            return _usage(f"argument `{parameter}`: {error}")
    result = program.instantiate(host).call(export, values)
    if export["result"] != "Void":
        sys.stdout.write(show_value(export["result"], result) + "\n")
    return 0


def _main(program: Any, host: Any, arguments: list[str]) -> int:
    """Run ``main``; its integer result is the exit status. The first argument is the name of the Spirit."""
    export = _export(program.exports, "main")
    if export is None:
        return _usage("this binary has no `main` that can be run from here")
    parameters = export["parameters"]
    if [kind for _, kind in parameters] not in ([], [["List", "String"]]):
        return _usage(f"`main` takes no argument or a List<String>, not {_signature(export)}")
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        return _usage("an argument is no UTF-8")
    result = program.instantiate(host).call(export, [arguments] if parameters else [])
    return int(result) & 0xFF if isinstance(result, int) else 0


def show_trap(message: str, frames: Any) -> str:
    """A trap as a diagnostic with the chain of functions."""
    notes = tuple(f"in {frame.function}, {frame.file}:{frame.line}" for frame in frames[:20])
    return render(Diagnostic("E0804", message, notes=notes), color=wants_color(sys.stderr))


__all__ = ["bring_up_to_date", "run"]
