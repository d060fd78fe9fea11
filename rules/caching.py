"""The caches of a run, from settings and environment. Secrets come from the environment only."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from dolbuild import __version__
from dolbuild.cache import collect
from dolbuild.cache.remote.backend import Backend, RemoteError
from dolbuild.cache.remote.signing import Signer
from dolbuild.cache.store import Store
from dolbuild.cache.tiered import Cache, Remote
from dolbuild.diagnostics import DiagnosticError
from dolbuild.packages.credentials import authorization
from dolbuild.rules.journal import Journal
from dolbuild.settings import CacheSettings, remote_problem

REMOTE_VARIABLE = "DOL_REMOTE"
"""An address instead of the one in the settings, or ``off``."""

UPLOAD_VARIABLE = "DOL_REMOTE_UPLOAD"
TIMEOUT_VARIABLE = "DOL_REMOTE_TIMEOUT"
TOKEN_VARIABLE = "DOL_REMOTE_TOKEN"  # noqa: S105 - the name of a variable
KEY_VARIABLE = "DOL_CACHE_KEY"
"""Keys for signatures, with commas between them: the first signs, all are believed."""

TIMEOUT = 5.0
"""Seconds that a remote may take for one answer."""

MIN_KEY = 16
"""Bytes of the shortest key that signs."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What a command line says of caches. *download*: what is fetched of results that a remote knows; None for what the settings say."""

    remote: bool = True
    download: str | None = None


class Unusable(Exception):
    """A remote is meant, and cannot be used; the text says why."""


def local_store(root: Path, settings: CacheSettings, home: Path) -> Store:
    """The local store of a workspace."""
    return Store(root / settings.local if settings.local is not None else home / "store")


def open_cache(
    root: Path, settings: CacheSettings, home: Path, environment: Mapping[str, str], caching: Caching
) -> Cache:
    """The caches of a run. A remote that cannot be used is told of at its end, and is no error."""
    store = local_store(root, settings, home)
    if not caching.remote:
        return Cache(store)
    try:
        return Cache(store, open_remote(effective(settings, environment), environment))
    except Unusable as error:
        cache = Cache(store)
        cache.told.append(f"the remote cache was not used: {error}")
        return cache


def effective(settings: CacheSettings, environment: Mapping[str, str]) -> CacheSettings:
    """The settings with what the environment says instead. Raises Unusable."""
    url = environment.get(REMOTE_VARIABLE, "").strip()
    if url:
        wrong = "" if url == "off" else remote_problem(url)
        if wrong:
            raise Unusable(f"{REMOTE_VARIABLE}: {wrong}")
        settings = replace(settings, remote="" if url == "off" else url.rstrip("/"))
    upload = environment.get(UPLOAD_VARIABLE, "").strip().lower()
    if upload:
        if upload not in ("true", "false"):
            raise Unusable(f"{UPLOAD_VARIABLE} is true or false")
        settings = replace(settings, upload=upload == "true")
    if settings.upload is None:
        settings = replace(settings, upload=environment.get("CI", "").lower() not in ("", "0", "false"))
    return settings


def open_remote(settings: CacheSettings, environment: Mapping[str, str]) -> Remote | None:
    """The remote of *effective* settings; None where there is none. Raises Unusable."""
    if not settings.remote:
        return None
    signer = _signer(settings, environment)
    if settings.signed and signer is None:
        raise Unusable(f"its results have to be signed, and {KEY_VARIABLE} is not set")
    backend = open_backend(settings.remote, environment)
    return Remote(backend, upload=bool(settings.upload), signer=signer, signed=settings.signed)


def open_backend(url: str, environment: Mapping[str, str]) -> Backend:
    """What speaks to the remote at an address. Nothing is asked yet. Raises Unusable."""
    split = urlsplit(url)
    secure = split.scheme in ("https", "grpcs")
    try:
        headers = authorization(f"{'https' if secure else 'http'}://{split.netloc}", environment, TOKEN_VARIABLE)
    except DiagnosticError as error:
        raise Unusable(error.diagnostics[0].message) from None
    agent = f"dolbuild/{__version__}"
    timeout = _timeout(environment)
    if split.scheme in ("http", "https"):
        from dolbuild.cache.remote.http import HttpBackend

        return HttpBackend(url, headers, timeout, agent)
    try:
        from dolbuild.cache.remote.reapi import ReapiBackend
    except ImportError:
        raise Unusable("it speaks gRPC, which is an extra: pip install 'dolbuild[grpc]'") from None
    instance = split.path.strip("/")
    roots = environment.get("SSL_CERT_FILE") if secure else None
    try:
        return ReapiBackend(split.netloc, instance, headers, timeout, agent, secure=secure, roots=roots)
    except RemoteError as error:
        raise Unusable(str(error)) from None


def _signer(settings: CacheSettings, environment: Mapping[str, str]) -> Signer | None:
    keys = tuple(key.strip().encode() for key in environment.get(KEY_VARIABLE, "").split(",") if key.strip())
    if not keys:
        return None
    if any(len(key) < MIN_KEY for key in keys):
        raise Unusable(f"a key in {KEY_VARIABLE} has less than {MIN_KEY} bytes")
    return Signer(settings.namespace, keys)


def _timeout(environment: Mapping[str, str]) -> float:
    text = environment.get(TIMEOUT_VARIABLE, "").strip()
    if not text:
        return TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < math.inf:
        raise Unusable(f"{TIMEOUT_VARIABLE} is a number of seconds")
    return min(max(seconds, 0.1), 600.0)


# -- collecting ------------------------------------------------------------------------------------


def pinned(store: Store) -> set[str]:
    """The keys and digests that the journals of running builds name."""
    found: set[str] = set()
    for path, _ in store.running():
        entries = Journal(path).entries
        for name in entries:
            entry = entries[name]
            found.add(entry.key)
            found |= {one.hash for one in entry.result.outputs.values()}
    return found


def collect_if_due(store: Store, limit: int) -> str:
    """Once a day, take out of the store what is over its limit; gives a line on it, or nothing."""
    if not collect.is_due(store):
        return ""
    done = collect.collect(store, limit, pinned(store))
    if not done.removed:
        return ""
    return f"took {done.removed} files out of the store that were not used for longest ({size_text(done.freed)})"


def size_text(size: int) -> str:
    """A size for people, in powers of 1000."""
    number = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def age_text(then: float) -> str:
    """How long ago a time (seconds since 1970) was."""
    seconds = max(0.0, time.time() - then)
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
