"""The options of ``build``, ``check`` and ``test``, as doit wants to be told of them."""

from typing import Any


def _flag(name: str, text: str) -> dict[str, Any]:
    return {"name": name.replace("-", "_"), "long": name, "type": bool, "default": False, "help": text}


def _value(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "long": name, "type": str, "default": "", "help": text}


OF_WORKSPACE = (
    _flag("release", "use the profile `release`"),
    _flag("offline", "ask no network; packages that are not here are an error"),
    _flag("locked", "fail if dol.lock would have to change (for CI)"),
    _flag("no-remote", "use no remote cache"),
    _value("download", "what to fetch of results in the remote cache: final (what is built), all, none"),
)
"""Options of every command that loads a workspace."""

_HERE = " (in a dolbuild workspace)"

OF_RUN = (
    {**_flag("quiet", f"say nothing but what fails{_HERE}"), "short": "q"},
    _flag("json", f"write events and diagnostics as JSON, one value a line{_HERE}"),
    _value("affected", f"only what the changes since this revision of git reach{_HERE}"),
    _value("events", f"write a line of JSON for each node to this file: outcome, reason, seconds{_HERE}"),
    _value("profile", f"write a trace for Chrome or Perfetto to this file{_HERE}"),
)
"""Options of ``run``, which every project in the environment sees."""
