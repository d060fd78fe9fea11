"""The console script ``dolbuild``: our verbs, and doit's for everything else."""

import os
import sys
from collections.abc import Callable

from dolbuild import __version__

USAGE = 2
"""Exit status for a command line that cannot be understood."""

HELP = f"""dolbuild {__version__}: builds DOL 2.0 workspaces

  dolbuild new workspace|spirit|system NAME
                                files to begin with
  dolbuild build [TASK...]      build every Spirit (or some tasks: `dolbuild list --all` shows them)
  dolbuild check                check every module, tests included, without linking
  dolbuild test                 run every test
  dolbuild exec SPIRIT [ARG...] run a Spirit's binary
  dolbuild exec SPIRIT FUNCTION [ARG...]
                                call an exported function of its library
  dolbuild exec SYSTEM FUNCTION [JSON...]
                                call a function of a System
  dolbuild up SYSTEM            keep a System running, behind HTTP on this machine
  dolbuild add PACKAGE[@REQUIREMENT]... | remove PACKAGE...
                                change what a Spirit requires, and the lock
  dolbuild lock | update [PACKAGE...]
                                make dol.lock fit the manifests | look for newer versions
  dolbuild fetch | vendor       fetch every package | copy them into the workspace
  dolbuild publish [SPIRIT] | yank PACKAGE@VERSION
                                publish a Spirit to a registry | take a version back
  dolbuild fmt [--check] [FILE...]
                                the canonical layout, for some files or the workspace
  dolbuild parse FILE... [--json]
                                show the syntax tree
  dolbuild explain CODE         what a diagnostic means, with an example
  dolbuild wat FILE.wasm        show a WebAssembly module as text
  dolbuild why NODE             why it was done the last time, and whether it is stale
  dolbuild compare KEY KEY      in what two actions differ
  dolbuild affected --since REV what the changes since a revision of git reach
  dolbuild query EXPRESSION     ask the graph: `deps(spirit:a, 2)`, `rdeps(x)`, `somepath(a, b)`
  dolbuild graph [EXPRESSION]   draw it: --html, --dot, --mermaid, --json, --svg
  dolbuild graph --open [--port=N]
                                show it in a browser, and follow what is built
  dolbuild docs [SPIRIT...]     describe every package in HTML, in target/docs
  dolbuild cache stats | gc | verify | clear
                                the store of results on this machine
  dolbuild doctor               whether everything that a build needs is there
  dolbuild completion bash|zsh  a script that completes commands and names
  dolbuild list | info TASK | clean | forget
                                doit's commands for this workspace
  dolbuild help [COMMAND|TASK]  doit's help

Options of build, check and test:
  --release                     the profile `release`
  -q, --quiet                   say nothing but what fails
  --json                        events and diagnostics as JSON, one value a line
  --locked                      fail if dol.lock would have to change (for CI)
  --offline                     ask no network
  --no-remote                   use no remote cache
  --download=final|all|none     what to fetch of results in the remote cache
  --affected=REV                only what the changes since a revision of git reach
  --events=FILE                 a line of JSON for each node: outcome, reason, seconds
  --profile=FILE                a trace for Chrome or Perfetto
  -n N                          N processes at a time (as many as there are cores)
  -a                            run everything, whatever is known already

Exit status: 0 success, 1 something failed, 2 wrong usage; `exec` gives that of the program.
"""


def usage_of(verb: str) -> str:
    """What the help says of a verb."""
    lines: list[str] = []
    is_meant = False
    for line in HELP.splitlines():
        if line.startswith("  dolbuild "):
            words = line.split("  ", 2)[1].replace(" | ", " ").split()
            is_meant = verb in words[1:2] or (" | " in line and verb in words)
        elif not line.startswith("      "):
            is_meant = False
        if is_meant:
            lines.append(line)
    return "\n".join(["usage:", *lines, "", "More: dolbuild --help, and the documents.", ""])


def _exec(arguments: list[str]) -> int:
    from dolbuild.commands.exec import run

    return run(arguments)


def _affected(arguments: list[str]) -> int:
    from dolbuild.commands.affected import run

    return run(arguments)


def _cache(arguments: list[str]) -> int:
    from dolbuild.commands.cache import run

    return run(arguments)


def _why(arguments: list[str]) -> int:
    from dolbuild.commands.why import why

    return why(arguments)


def _compare(arguments: list[str]) -> int:
    from dolbuild.commands.why import compare_keys

    return compare_keys(arguments)


def _wat(arguments: list[str]) -> int:
    from dolbuild.commands.wat import run

    return run(arguments)


def _fmt(arguments: list[str]) -> int:
    from dolbuild.commands.fmt import run

    return run(arguments)


def _parse(arguments: list[str]) -> int:
    from dolbuild.commands.parse import run

    return run(arguments)


def _explain(arguments: list[str]) -> int:
    from dolbuild.commands.explain import run

    return run(arguments)


def _lock(arguments: list[str]) -> int:
    from dolbuild.commands.lock import lock

    return lock(arguments)


def _new(arguments: list[str]) -> int:
    from dolbuild.commands.new import run

    return run(arguments)


def _completion(arguments: list[str]) -> int:
    from dolbuild.commands.completion import run

    return run(arguments)


def _doctor(arguments: list[str]) -> int:
    from dolbuild.commands.doctor import run

    return run(arguments)


def _query(arguments: list[str]) -> int:
    from dolbuild.commands.graph import query

    return query(arguments)


def _graph(arguments: list[str]) -> int:
    from dolbuild.commands.graph import graph

    return graph(arguments)


def _up(arguments: list[str]) -> int:
    from dolbuild.commands.up import run

    return run(arguments)


def _update(arguments: list[str]) -> int:
    from dolbuild.commands.lock import update

    return update(arguments)


def _add(arguments: list[str]) -> int:
    from dolbuild.commands.add import add

    return add(arguments)


def _remove(arguments: list[str]) -> int:
    from dolbuild.commands.add import remove

    return remove(arguments)


def _vendor(arguments: list[str]) -> int:
    from dolbuild.commands.vendor import run

    return run(arguments)


def _publish(arguments: list[str]) -> int:
    from dolbuild.commands.publish import run

    return run(arguments)


def _yank(arguments: list[str]) -> int:
    from dolbuild.commands.publish import run_yank

    return run_yank(arguments)


VERBS: dict[str, Callable[[list[str]], int]] = {
    "add": _add,
    "affected": _affected,
    "cache": _cache,
    "compare": _compare,
    "completion": _completion,
    "doctor": _doctor,
    "exec": _exec,
    "explain": _explain,
    "fmt": _fmt,
    "graph": _graph,
    "lock": _lock,
    "new": _new,
    "parse": _parse,
    "publish": _publish,
    "query": _query,
    "remove": _remove,
    "up": _up,
    "update": _update,
    "vendor": _vendor,
    "wat": _wat,
    "why": _why,
    "yank": _yank,
}
"""Commands that are no task of doit."""

PLAIN = ("explain", "fmt", "parse", "wat")
"""Verbs that have no more to say of themselves than the help does."""

QUICK = ("build", "check", "test")
"""Tasks of which it may be known in a moment that there is nothing to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; gives the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(given)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130
    except BrokenPipeError:
        # whoever read our output has gone; Python would complain about it once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        sys.stdout.write(HELP)
        return 0
    if given[0] == "--version":
        sys.stdout.write(f"dolbuild {__version__}\n")
        return 0
    if given[0] == "help" and (len(given) == 1 or given[1] in VERBS):
        if len(given) > 1:
            return _run([given[1], "--help"])
        sys.stdout.write(HELP)
        return 0
    verb = VERBS.get(given[0])
    if verb is not None:
        if given[0] in PLAIN and given[1:2] in (["-h"], ["--help"]):
            sys.stdout.write(usage_of(given[0]))
            return 0
        return verb(given[1:])
    from dolbuild.rules.quick import nothing_to_do

    told = nothing_to_do(given, os.environ) if given[0] in QUICK else None
    if told is not None:
        sys.stdout.write(told)
        return 0
    from dolbuild.rules.doit_adapter import run_doit

    return run_doit(given)


if __name__ == "__main__":
    raise SystemExit(main())
