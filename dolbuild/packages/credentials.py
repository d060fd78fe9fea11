"""Who we are to a registry or a remote cache: a token from the environment, or a user and password from ``.netrc``.

They are never written anywhere, and go over https only (or to this machine).
"""

import base64
import netrc
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dolbuild.packages.download import is_loopback
from dolbuild.packages.problem import UNREACHABLE, problem

TOKEN_VARIABLE = "DOL_REGISTRY_TOKEN"  # noqa: S105 - the name of a variable
"""``DOL_REGISTRY_TOKEN_<HOST>`` holds the token for a host: a workspace that names another host gets none."""


def token_variable(host: str, prefix: str = TOKEN_VARIABLE) -> str:
    """The variable that holds the token for a host: in capitals, with ``_`` for dots and colons and ``__`` for hyphens, so that no two hosts
    have the same."""
    return f"{prefix}_{re.sub(r'[^A-Z0-9_]', '_', host.upper().replace('-', '__'))}"


def authorization(url: str, environment: Mapping[str, str], prefix: str = TOKEN_VARIABLE) -> dict[str, str]:
    """The header for requests to a server; empty where there is none. *prefix*: how the variable with its token begins."""
    split = urlsplit(url)
    host = split.hostname or ""
    if split.scheme != "https" and not is_loopback(host):
        return {}
    variable = token_variable(host, prefix)
    token = environment.get(variable, "").strip()
    if token:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise problem(UNREACHABLE, f"{variable} holds what is no token")
        return {"authorization": f"Bearer {token}"}
    pair = _from_netrc(host, environment)
    if pair is None:
        return {}
    return {"authorization": "Basic " + base64.b64encode(f"{pair[0]}:{pair[1]}".encode()).decode()}


def _from_netrc(host: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    named = environment.get("NETRC")
    home = environment.get("HOME")
    path = Path(named) if named else Path(home, ".netrc") if home else None
    if path is None:
        return None
    try:
        entries = netrc.netrc(str(path))
        found = entries.authenticators(host) if host in entries.hosts else None  # `default` is for no host of ours
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return None if found is None else (found[0], found[2] or "")
