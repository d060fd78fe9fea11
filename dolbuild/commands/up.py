"""``dolbuild up``: keep a System running behind HTTP, with its state on disk."""

import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dolbuild.commands import systems
from dolbuild.commands.exec import USAGE, bring_up_to_date
from dolbuild.commands.grants import USAGE as GRANTS
from dolbuild.commands.grants import Grants
from dolbuild.commands.opening import tell
from dolbuild.diagnostics import Diagnostic, DiagnosticError
from dolbuild.rules.build import Access, open_session
from dolbuild.runtime.host import Host
from dolbuild.systems.serving import Limits, Server, is_loopback
from dolbuild.workspace import NO_WORKSPACE, find_root

TOKEN = "DOL_TOKEN"  # noqa: S105
"""The variable with the token that requests have to bring."""

USAGE_LINE = (
    "dolbuild up [--release] [--host=ADDRESS] [--port=N] [--state=JSON|@FILE] [--keep=FOLDER] [--accept-loss] "
    f"[--no-sync] [--time-limit=SECONDS] {GRANTS} SYSTEM"
)
PORT = 7411


@dataclass(slots=True)
class _Options:
    release: bool = False
    host: str = "127.0.0.1"
    port: int = PORT
    state: str | None = None
    keep: str | None = None
    accept_loss: bool = False
    synced: bool = True
    time_limit: float = Limits().call
    grants: Grants = field(default_factory=Grants)


def run(arguments: list[str]) -> int:
    """Run the command until it is stopped; gives the exit status."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: {USAGE_LINE}\n")
        return 0
    try:
        options, rest = _options(arguments)
        if len(rest) != 1:
            raise ValueError(USAGE_LINE)
        state = systems.read_state(options.state)
    except (ValueError, systems.WrongJson) as error:
        return _usage(str(error))
    token = os.environ.get(TOKEN) or None
    if token is None and not is_loopback(options.host):
        return _usage(f"{options.host} can be reached from other machines: put a token into the variable {TOKEN}")
    root = find_root(Path.cwd())
    if root is None:
        sys.stderr.write(NO_WORKSPACE)
        return USAGE
    name = rest[0]
    try:
        session = open_session(root, release=options.release, access=Access(tell=tell))
        node = session.plan.nodes.get(f"system:{name}")
        if node is None:
            known = sorted(n.removeprefix("system:") for n in session.plan.nodes if n.startswith("system:"))
            return _usage(f"there is no System `{name}` here; there are: {', '.join(known) or 'none'}")
        if not bring_up_to_date(session, node):
            return 1
        wasm = systems.built_module(root, node)
        folder = Path(options.keep) if options.keep else root / systems.KEPT / name
        return _serve(name, wasm, state, folder, options, token)
    except DiagnosticError as error:
        systems.show(error)
        return 1


def _serve(
    name: str, wasm: bytes, state: dict[str, Any] | None, folder: Path, options: _Options, token: str | None
) -> int:
    host = Host(options.grants.capabilities)
    running, opened = systems.open_system(
        wasm,
        host,
        state,
        folder,
        accept_loss=options.accept_loss,
        synced=options.synced,
        serving=True,
    )
    assert opened is not None
    try:
        try:
            server = Server(options.host, options.port, running, token, Limits(call=options.time_limit))
        except OSError as error:
            message = f"{options.host}:{options.port} cannot be listened at: {error.strerror or error}"
            raise DiagnosticError(Diagnostic("E0819", message, hint="--port=0 takes a free one")) from None
        _until_stopped(server, name, opened.said, folder)
    finally:
        opened.close()
    return 0


def _until_stopped(server: Server, name: str, said: tuple[str, ...], folder: Path) -> None:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    serving = threading.Thread(target=server.serve_forever, name="serving", daemon=True)
    serving.start()
    for line in said:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{name} is up at {server.url}, its state is kept in {systems.shown_folder(folder)}\n")
    sys.stdout.flush()
    while not stopping.wait(3600):
        pass
    server.shutdown()
    serving.join()
    server.stop()
    sys.stdout.write(f"{name} has stopped\n")


def _options(arguments: list[str]) -> tuple[_Options, list[str]]:
    """The options, wherever they stand, and the rest. Raises ValueError."""
    options = _Options()
    rest: list[str] = []
    flags = {"--release": "release", "--accept-loss": "accept_loss"}
    for argument in arguments:
        option, given, value = argument.partition("=")
        if not argument.startswith("-"):
            rest.append(argument)
        elif option in flags and not given:
            setattr(options, flags[option], True)
        elif option == "--no-sync" and not given:
            options.synced = False
        elif option in ("--host", "--state", "--keep") and value:
            setattr(options, option[2:], value)
        elif option == "--port" and value.isascii() and value.isdigit() and int(value) <= 0xFFFF:
            options.port = int(value)
        elif option == "--time-limit" and _is_seconds(value):
            options.time_limit = float(value)
        elif not options.grants.take(argument):
            raise ValueError(f"`{argument}` is no option of `dolbuild up`; {USAGE_LINE}")
    return options, rest


def _is_seconds(text: str) -> bool:
    try:
        return 0 < float(text) <= 86400
    except ValueError:
        return False


def _usage(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return USAGE
