"""The local store is bounded: what was used longest ago goes first, and never what a running build needs."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dolbuild.cache import collect
from dolbuild.cache.action import Record, Result
from dolbuild.cache.digest import digest, digest_of
from dolbuild.cache.store import Store
from dolbuild.cache.tiered import Cache
from dolbuild.rules.caching import pinned
from dolbuild.rules.journal import Entry, Journal

BLOCK = 8192


def fill(store: Store, count: int) -> list[str]:
    """Blobs of 8 KiB; the first one was used longest ago."""
    names = []
    for number in range(count):
        data = number.to_bytes(2, "big") * (BLOCK // 2)
        names.append(store.write(data).hash)
        age(store, names[-1], 10_000 - number)
    return names


def age(store: Store, name: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(store.blob_path(name), (then, then))


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = fill(store, 20)
    size = collect.stats(store).size
    done = collect.collect(store, size // 2)
    assert done.left <= size // 2 * collect.KEPT + 1
    here = [store.has(name) for name in names]
    assert here == sorted(here), "the newest are left"
    assert sum(here) == 20 - done.removed


def test_what_is_read_is_used(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = fill(store, 20)
    key = digest(b"key")
    store.record(key, Result({"x": digest_of((0).to_bytes(2, "big") * (BLOCK // 2))}))
    assert store.lookup(key) is not None
    collect.collect(store, collect.stats(store).size // 2)
    assert store.lookup(key) is not None
    assert not store.has(names[1])


def test_below_the_limit_nothing_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = fill(store, 5)
    assert collect.collect(store, 1 << 30).removed == 0
    assert all(map(store.has, names))


def test_a_running_build_keeps_what_its_journal_names_and_what_it_used(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    names = fill(store, 20)
    journal = Journal(tmp_path / "journal")
    journal.record("module:a", Entry(digest(b"key"), Result({"x": digest_of(b"")._replace(hash=names[0])}), {}))
    end = store.pin(journal.path)
    assert store.has(names[3])
    assert names[0] in pinned(store)
    collect.collect(store, 1, pinned(store))
    assert store.has(names[0]), "its journal names it"
    assert store.has(names[3]), "it has used it"
    assert sum(map(store.has, names)) == 2
    end()
    assert list(store.running()) == []
    for name in (names[0], names[3]):
        age(store, name, 100)
    assert collect.collect(store, 1, pinned(store)).left == 0


def test_what_a_killed_build_left_does_not_count(tmp_path: Path) -> None:
    code = "import sys, os; from pathlib import Path; from dolbuild.cache.store import Store; Store(Path(sys.argv[1])).pin(Path('j')); os.abort()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, stderr=subprocess.DEVNULL)
    store = Store(tmp_path)
    (left,) = (store.folder / "running").iterdir()
    assert list(store.running()) == []
    assert not left.exists()


def test_collecting_while_others_read_and_write(tmp_path: Path) -> None:
    """Nobody ever sees a blob that is not what its name says, and no fault comes out of it."""
    store = Store(tmp_path)
    faults: list[object] = []
    stop = threading.Event()

    def work(seed: int) -> None:
        try:
            number = seed
            while not stop.is_set():
                data = (number % 50).to_bytes(2, "big") * 2000
                name = store.write(data).hash
                found = store.read(name)
                assert found in (None, data)
                number += 7
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        collect.collect(store, 40_000)
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_verify_finds_what_is_wrong_and_takes_it_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = fill(store, 3)
    key = digest(b"key")
    store.record(key, Result())
    for path in (store.blob_path(names[1]), store.result_path(key)):
        os.chmod(path, 0o644)
        Path(path).write_bytes(b"\0")
    found = collect.verify(store)
    assert found.checked == 4
    assert set(found.wrong) == {f"cas/{names[1]}", f"ac/{key}"}
    assert collect.verify(store) == collect.Verified(2, ())


def test_builds_collect_once_a_day(tmp_path: Path) -> None:
    store = Store(tmp_path)
    fill(store, 3)
    assert not collect.is_due(store), "a new store is given a day"
    stamp = store.folder / "collected"
    os.utime(stamp, (time.time() - collect.INTERVAL - 10,) * 2)
    assert collect.is_due(store)
    collect.collect(store, 1 << 30)
    assert not collect.is_due(store)
    os.utime(stamp, (time.time() + collect.INTERVAL + 10,) * 2)
    assert collect.is_due(store), "the clock was set back"


def test_a_store_that_no_one_can_lock_is_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    store = Store(tmp_path)
    store.pin(tmp_path / "journal")()
    name = store.write(b"x").hash
    assert store.read(name) == b"x"


def test_the_record_of_an_action_is_kept_under_its_key(tmp_path: Path) -> None:
    cache = Cache(Store(tmp_path))
    record = Record("module", 1, "tool", {"file": "x"}, {"source": digest(b"x")})
    cache.publish(record, Result(cache.keep_blobs({"dolo": b"object"}), seconds=1.2345))
    assert cache.record(record.key) == record
    assert cache.store.names(record.key[:8]) == [record.key]
    found = cache.lookup(record)
    assert found is not None and found.result.outputs == {"dolo": digest_of(b"object")}
    assert found.result.seconds == 1.234
