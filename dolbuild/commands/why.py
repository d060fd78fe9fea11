"""``dolbuild why NODE`` and ``dolbuild compare KEY KEY``: why something ran again."""

import json
import os
import sys
from typing import Any

from dolbuild.cache.action import Record
from dolbuild.cache.digest import DIGEST_LENGTH
from dolbuild.cache.tiered import Cache
from dolbuild.commands.opening import WrongUsage, flags, guarded, root_here
from dolbuild.diagnostics import DiagnosticError
from dolbuild.rules.build import Access, dol_home, open_session
from dolbuild.rules.caching import Caching, open_cache
from dolbuild.rules.events import Status
from dolbuild.rules.explain import Difference, compare, short
from dolbuild.rules.journal import Entry
from dolbuild.rules.lastrun import last_run
from dolbuild.rules.session import Session
from dolbuild.settings import CacheSettings, read_settings

WHY_USAGE = "dolbuild why [--release] [--json] NODE"
COMPARE_USAGE = "dolbuild compare [--json] KEY KEY"
MIN_PREFIX = 6
_HOW = {Status.RAN: "it ran", Status.HIT: "it came from the store", Status.REMOTE_HIT: "it came from the remote cache"}


def why(arguments: list[str]) -> int:
    """Say why a node was done the last time, and whether it is up to date."""

    def command() -> int:
        options, rest = flags(arguments, ("--json", "--release"), WHY_USAGE)
        if len(rest) != 1:
            raise WrongUsage(f"`why` takes the name of a node; {WHY_USAGE}")
        session = open_session(
            root_here(), release="--release" in options, access=Access(fetch=False), caching=Caching(remote=False)
        )
        name = _node(session, rest[0])
        told = _story(session, name)
        session.close()
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n" if "--json" in options else _text(told))
        return 0

    return guarded(command)


def _node(session: Session, name: str) -> str:
    """The node that is meant: its name, or that of a Spirit, a System or a module. Raises WrongUsage."""
    for kind in ("", "spirit:", "system:", "module:", "test:"):
        if f"{kind}{name}" in session.plan.nodes:
            return f"{kind}{name}"
    if session.journal.entries.has(name):
        raise WrongUsage(f"there is no node `{name}` any more: what it was made from is gone or has another name")
    raise WrongUsage(f"there is no node `{name}`; `dolbuild list --all` shows them")


def _story(session: Session, name: str) -> dict[str, Any]:
    """What is known of a node."""
    entry = session.journal.entries.get(name)
    value: dict[str, Any] = {"node": name, "last": None if entry is None else _last(session, name, entry)}
    value["now"] = _now(session, name)
    run = last_run(session.root)
    if entry is None and run is not None and name in run.nodes:
        value["last_run"] = run.nodes[name].outcome
    return value


def _last(session: Session, name: str, entry: Entry) -> dict[str, Any]:
    last: dict[str, Any] = {"outcome": entry.status, "key": entry.key, "previous": entry.previous or None}
    if entry.previous and entry.previous != entry.key:
        last["changed"] = _differences(session.cache, entry.previous, entry.key)
        last["together"] = _together(session, name, entry)
    return last


def _together(session: Session, name: str, entry: Entry) -> list[str]:
    """Of what a node depends on, the nodes that had changed since it was done before."""
    found: list[str] = []
    for other in session.plan.reached([name]):
        known = session.journal.entries.get(other)
        if other == name or known is None or known.previous in ("", known.key):
            continue
        if entry.previous_run < known.run <= entry.run:
            found.append(other)
    return sorted(found)


def _differences(cache: Cache, old: str, new: str) -> list[dict[str, Any]] | None:
    """The differences of two records; None where one of them is not kept any more."""
    before, after = cache.record(old), cache.record(new)
    if before is None or after is None:
        return None
    return [difference.to_json() for difference in compare(before, after)]


def _now(session: Session, name: str) -> dict[str, Any]:
    node = session.plan.nodes[name]
    if session.is_up_to_date(node):
        return {"stale": False}
    for other in sorted(session.plan.expand(node.dependencies)):
        if not session.is_up_to_date(session.plan.nodes[other]):
            return {"stale": True, "waits": sorted(session.stale_roots(name))}
    entry = session.journal.entries.get(name)
    if entry is None:
        return {"stale": True, "cause": "new"}
    try:
        record = session.action(node).record
    except DiagnosticError as error:
        return {"stale": True, "cause": "failing", "message": error.diagnostics[0].message}
    if record.key == entry.key:
        return {"stale": True, "cause": "target"}
    before = session.cache.record(entry.key)
    changed = None if before is None else [one.to_json() for one in compare(before, record)]
    return {"stale": True, "cause": "changed", "changed": changed}


_CAUSES = {
    "new": "it has not been done",
    "target": "a file that it makes is gone or altered",
    "changed": "what it is made from changed",
}


_NOT_DONE: dict[str, str] = {
    Status.FAILED: "it failed in the last run",
    Status.SKIPPED: "it was skipped in the last run, since something that it depends on failed",
}


def _text(told: dict[str, Any]) -> str:
    lines = [told["node"]]
    last = told["last"]
    if last is None:
        lines.append(f"  {_NOT_DONE.get(told.get('last_run', ''), 'it was never done in this workspace')}")
    else:
        how = _HOW.get(last["outcome"], "it was done")
        if not last["previous"]:
            lines.append(f"  the last time {how}, since it had never been done in this workspace")
        elif "changed" not in last:
            lines.append(
                f"  the last time {how}, since a file that it makes was gone or altered, or everything was asked for"
            )
        else:
            lines.append(f"  the last time {how}, since")
            lines += _changes(last["changed"])
            lines += [f"    {other} had changed" for other in last["together"][:10]]
    now = told["now"]
    if not now["stale"]:
        lines.append("  now it is up to date")
    elif "waits" in now:
        more = f" and {len(now['waits']) - 3} more" if len(now["waits"]) > 3 else ""
        lines.append(f"  now it is stale, since it depends on what is stale: {', '.join(now['waits'][:3])}{more}")
    else:
        lines.append(f"  now it is stale: {now.get('message') or _CAUSES[now['cause']]}")
        if "changed" in now:
            lines += _changes(now["changed"])
    return "\n".join(lines) + "\n"


def _changes(changes: list[dict[str, Any]] | None) -> list[str]:
    if changes is None:
        return ["    what it was made from is not in the store any more"]
    return [f"    {Difference(one['input'], one['old'], one['new']).text()}" for one in changes]


# -- compare ---------------------------------------------------------------------------------------


def compare_keys(arguments: list[str]) -> int:
    """Show in what the records of two action keys differ."""

    def command() -> int:
        options, keys = flags(arguments, ("--json",), COMPARE_USAGE)
        if len(keys) != 2:
            raise WrongUsage(f"`compare` takes two action keys; {COMPARE_USAGE}")
        cache = _cache()
        try:
            old, new = (_record(cache, key) for key in keys)
        finally:
            cache.close()
        found = compare(old, new)
        if "--json" in options:
            sys.stdout.write(json.dumps([one.to_json() for one in found], ensure_ascii=False) + "\n")
        else:
            sys.stdout.write(f"{old.rule} {short(old.key)} and {new.rule} {short(new.key)}\n")
            sys.stdout.writelines(f"  {one.text()}\n" for one in found or ())
            if not found:
                sys.stdout.write("  they are the same\n")
        return 0

    return guarded(command)


def _cache() -> Cache:
    home = dol_home(os.environ)
    try:
        root = root_here()
    except WrongUsage:
        return Cache(open_cache(home, CacheSettings(), home, os.environ, Caching(remote=False)).store)
    return open_cache(root, read_settings(root).cache, home, os.environ, Caching())


def _record(cache: Cache, key: str) -> Record:
    """The record of a key, which may be cut short. Raises WrongUsage."""
    text = key.lower()
    if not set(text) <= set("0123456789abcdef") or not MIN_PREFIX <= len(text) <= DIGEST_LENGTH:
        raise WrongUsage(f"`{key}` is no action key: {MIN_PREFIX} to {DIGEST_LENGTH} hexadecimal digits")
    full = text if len(text) == DIGEST_LENGTH else _completed(cache, text)
    record = cache.record(full, anywhere=True)
    if record is None:
        raise WrongUsage(f"no action with the key `{key}` is known here; `--events` and `why --json` show keys")
    return record


def _completed(cache: Cache, text: str) -> str:
    found = [name for name in cache.store.names(text) if cache.record(name) is not None]
    if len(found) > 1:
        raise WrongUsage(f"`{text}` is the beginning of {len(found)} keys")
    return found[0] if found else text.ljust(DIGEST_LENGTH, "0")
