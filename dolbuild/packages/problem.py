"""What can go wrong on the way to a package, as diagnostics."""

from dolbuild.diagnostics import Diagnostic, DiagnosticError

UNREACHABLE = "E1003"
"""A registry, repository or file that gives no answer."""

WRONG_CONTENT = "E1004"
"""What came is not what it should be."""

WRONG_INDEX = "E1005"
"""A registry that says what cannot be."""

NOT_FOUND = "E1006"
"""A branch, tag, commit or file that is not there."""


def problem(code: str, message: str, hint: str = "", *notes: str) -> DiagnosticError:
    """An error to raise."""
    return DiagnosticError(Diagnostic(code, message, hint=hint, notes=notes))


OFFLINE_HINT = "run it without --offline, or `dolbuild fetch` while there is a network"
