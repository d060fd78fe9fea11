"""``dolbuild cache stats | gc | verify | clear``: the local store."""

import json
import os
import sys
from pathlib import Path

from dolbuild.cache import collect
from dolbuild.cache.store import Store
from dolbuild.commands.opening import WrongUsage, flags, guarded, root_here
from dolbuild.rules.build import dol_home
from dolbuild.rules.caching import Unusable, age_text, effective, local_store, pinned, size_text
from dolbuild.settings import CacheSettings, read_settings, size_of

USAGE = "dolbuild cache stats [--json] | gc [--size=SIZE] | verify | clear"


def run(arguments: list[str]) -> int:
    """Run the command; gives the exit status."""

    def command() -> int:
        verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
        if verb in ("-h", "--help"):
            flags(["--help"], (), USAGE)
        known = {"stats": ("--json",), "gc": ("--size=",), "verify": (), "clear": ()}
        if verb not in known:
            raise WrongUsage(USAGE)
        options, names = flags(rest, known[verb], USAGE)
        if names:
            raise WrongUsage(USAGE)
        settings, store = _store()
        if verb == "stats":
            return _stats(store, settings, "--json" in options)
        if verb == "gc":
            return _gc(store, settings, options.get("--size"))
        return _verify(store) if verb == "verify" else _clear(store)

    return guarded(command)


def _store() -> tuple[CacheSettings, Store]:
    """The store of the workspace around the current folder, or the user's."""
    home = dol_home(os.environ)
    try:
        root: Path | None = root_here()
    except WrongUsage:
        root = None
    settings = CacheSettings() if root is None else read_settings(root).cache
    return settings, local_store(root or home, settings, home)


def _stats(store: Store, settings: CacheSettings, as_json: bool) -> int:
    found = collect.stats(store)
    try:
        now = effective(settings, os.environ)
        remote = now.remote
        how = "results are uploaded" if now.upload else "nothing is uploaded"
        how += ", only signed results are believed" if now.signed else ""
    except Unusable as error:
        remote, how = settings.remote, f"not used: {error}"
    if as_json:
        value = {
            "folder": str(store.base), "blobs": found.blobs, "results": found.results, "size": found.size,
            "limit": settings.size, "oldest": found.oldest, "newest": found.newest, "remote": remote or None,
        }  # fmt: skip
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        return 0
    sys.stdout.write(f"store    {store.base}\n")
    sys.stdout.write(f"size     {size_text(found.size)} of at most {size_text(settings.size)}\n")
    sys.stdout.write(f"holds    {found.results} results, {found.blobs} blobs\n")
    if found.results or found.blobs:
        sys.stdout.write(f"used     {age_text(found.newest)}; the oldest {age_text(found.oldest)}\n")
    sys.stdout.write(f"remote   {remote} ({how})\n" if remote else "remote   none\n")
    return 0


def _gc(store: Store, settings: CacheSettings, size: str | None) -> int:
    limit = settings.size if size is None else size_of(size)
    if limit is None:
        raise WrongUsage(f'`--size` takes a size such as "500 MB" or "20 GB", not "{size}"')
    done = collect.collect(store, limit, pinned(store))
    sys.stdout.write(f"removed {done.removed} files ({size_text(done.freed)}); {size_text(done.left)} are left\n")
    return 0


def _verify(store: Store) -> int:
    found = collect.verify(store)
    for name in found.wrong:
        sys.stdout.write(f"removed {name}: it is not what its name says\n")
    sys.stdout.write(f"{found.checked} files, {len(found.wrong)} of them wrong\n")
    return 1 if found.wrong else 0


def _clear(store: Store) -> int:
    running = list(store.running())
    if running:
        sys.stderr.write(f"error: {len(running)} build{'' if len(running) == 1 else 's'} using the store now\n")
        return 1
    before = collect.stats(store)
    collect.clear(store)
    sys.stdout.write(f"removed {before.results} results and {before.blobs} blobs ({size_text(before.size)})\n")
    return 0
