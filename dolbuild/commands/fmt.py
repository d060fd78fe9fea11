"""``dolbuild fmt``: the canonical layout for files."""

import sys
from pathlib import Path

from dolbuild.diagnostics import DiagnosticError, in_file, render
from dolbuild.files import write_atomic
from dolbuild.source import SourceFile, decode
from dolbuild.syntax.format import format_source
from dolbuild.terminal import wants_color
from dolbuild.workspace import find_root, join, load

USAGE = 2


def run(arguments: list[str]) -> int:
    """Format the files that are named, or all of the workspace; gives the exit status. With ``--check``
    nothing is written, and the status is 1 where something would be."""
    check = "--check" in arguments
    names = [argument for argument in arguments if argument != "--check"]
    if any(name.startswith("-") for name in names):
        sys.stderr.write("error: dolbuild fmt [--check] [FILE...]\n")
        return USAGE
    try:
        paths = [Path(name) for name in names] if names else _workspace_files()
    except DiagnosticError as error:
        for diagnostic in error.diagnostics:
            sys.stderr.write(render(diagnostic))
        return 1
    if paths is None:
        sys.stderr.write("error: there is no workspace here; name the files to format\n")
        return USAGE
    changed = failed = 0
    for path in paths:
        outcome = _format(path, check)
        failed += outcome is None
        changed += bool(outcome)
    total = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
    sys.stdout.write(f"{total}: {changed} {'to format' if check else 'formatted'}\n")
    return 1 if failed or (check and changed) else 0


def _workspace_files() -> list[Path] | None:
    root = find_root(Path.cwd())
    if root is None:
        return None
    found: list[Path] = []
    for member in load(root).members:
        for path in (*member.modules.values(), *member.tests.values()):
            found.append(root / join(member.folder, path))
        found.append(root / member.manifest_path)
    return sorted(found)


def _format(path: Path, check: bool) -> bool | None:
    """Whether the file was (or would be) changed; None where it could not be formatted."""
    shown = str(path)
    try:
        data = path.read_bytes()
        text = decode(data)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        sys.stderr.write(render(in_file(shown, "E0705", f"this file cannot be read: {reason}")))
        return None
    formatted = format_source(SourceFile(shown, text))
    if formatted.text is None:
        for diagnostic in formatted.diagnostics:
            sys.stderr.write(render(diagnostic, color=wants_color(sys.stderr)) + "\n")
        return None
    if formatted.text.encode() == data:
        return False
    sys.stdout.write(f"{'would change' if check else 'formatted'}  {shown}\n")
    if not check:
        mode = path.stat().st_mode & 0o777
        write_atomic(path.resolve(), formatted.text.encode(), mode=mode)
    return True
