"""Refused calls as answers: a code, a status of HTTP, and JSON that says what was wrong."""

from typing import Any

from dolbuild.systems.running import (
    Broken,
    CannotKeep,
    GaveError,
    Refused,
    Stopped,
    UnknownFunction,
    WrongArguments,
)


def describe(refused: Refused) -> tuple[int, dict[str, Any]]:
    """The status, and what stands under ``error``."""
    match refused:
        case UnknownFunction():
            return 404, {"code": "E0810", "message": str(refused)}
        case WrongArguments():
            return 400, {"code": "E0811", "message": refused.message, "path": refused.path}
        case GaveError():
            return 422, {"code": "E0812", "message": "the function gave an error", "value": refused.value}
        case Broken():
            constraint = refused.constraint
            return 409, {
                "code": "E0813",
                "message": f"the constraint `{constraint.name}` does not hold",
                "constraint": constraint.name,
                "text": constraint.text,
                "place": f"{constraint.file}:{constraint.line}",
                "values": list(refused.values),
            }
        case Stopped():
            frames = [{"function": f.function, "file": f.file, "line": f.line} for f in refused.frames[:20]]
            return 500, {"code": "E0804", "message": refused.message, "frames": frames}
        case CannotKeep():
            return 503, {"code": "E0814", "message": str(refused)}
    return 500, {"code": "E0804", "message": str(refused)}
