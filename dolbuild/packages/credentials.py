"""Who we are to a registry: a token from the environment, or a user and password from ``.netrc``.

They are never written anywhere, and go over https only (or to this machine).
"""

import base64
import netrc
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dolbuild.packages.download import is_loopback

TOKEN_VARIABLE = "DOL_REGISTRY_TOKEN"  # noqa: S105 - the name of a variable
"""``DOL_REGISTRY_TOKEN_<ORGANISATION>`` for the registry of an organisation; without it, for the default one."""


def token_variable(organisation: str) -> str:
    """The variable that holds the token for an organisation's registry."""
    return f"{TOKEN_VARIABLE}_{organisation.upper().replace('-', '_')}" if organisation else TOKEN_VARIABLE


def authorization(url: str, organisation: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The header for requests to a registry; empty where there is none. *organisation* is empty for the default registry."""
    split = urlsplit(url)
    if split.scheme != "https" and not is_loopback(split.hostname or ""):
        return {}
    token = environment.get(token_variable(organisation))
    if token:
        return {"authorization": f"Bearer {token}"}
    pair = _from_netrc(split.hostname or "", environment)
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
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return None if found is None else (found[0], found[2] or "")
