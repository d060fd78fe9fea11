"""Digests, action keys, and the local store."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolbuild.cache.action import Record, Result
from dolbuild.cache.digest import digest, is_digest
from dolbuild.cache.store import Store
from dolbuild.files import ABANDONED, sweep, write_atomic

A, B = digest(b"a"), digest(b"b")


def record(**changes: object) -> Record:
    values: dict[str, object] = {
        "rule": "r",
        "version": 1,
        "tool": "t",
        "options": {"o": 1},
        "inputs": {"x": A, "y": B},
    }
    return Record(**(values | changes))  # type: ignore[arg-type]


def test_equal_records_have_equal_keys() -> None:
    assert record().key == record(inputs={"y": B, "x": A}).key
    assert is_digest(record().key)


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": "s"},
        {"version": 2},
        {"tool": "u"},
        {"options": {"o": 2}},
        {"inputs": {"x": A}},
        {"inputs": {"x": B, "y": A}},
    ],
)
def test_every_part_of_a_record_is_in_its_key(changes: dict[str, object]) -> None:
    assert record(**changes).key != record().key


def test_the_key_of_a_record_never_changes() -> None:
    """Keys are shared between machines and versions of Python: this one is written down."""
    assert record().key == "c847ad0b5ae99097415ebed381127c0bab9a0814830934236a70ed425b9c26f7"


def test_results_come_back_as_they_went() -> None:
    result = Result({"wasm": A}, [{"code": "W0301"}])
    assert Result.decode(result.encode()) == result


@given(st.binary(max_size=200))
def test_garbage_is_no_result(data: bytes) -> None:
    with pytest.raises(ValueError):
        Result.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"format":1,"outputs":{"x":"../../etc/passwd"}}',
        b'{"format":1,"outputs":[]}',
        b'{"format":9,"outputs":{}}',
        b"[]",
    ],
)
def test_a_result_names_only_digests(data: bytes) -> None:
    with pytest.raises(ValueError):
        Result.decode(data)


def test_blobs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.write(b"hello")
    assert name == digest(b"hello")
    assert store.read(name) == b"hello"
    assert store.read(A) is None
    assert store.write(b"hello") == name


def test_a_damaged_blob_is_a_miss_and_is_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.write(b"hello")
    (path,) = list(tmp_path.rglob(name))
    path.chmod(0o644)
    path.write_bytes(b"hellx")
    assert store.read(name) is None
    store.write(b"hello")
    assert store.read(name) == b"hello"


def test_a_result_is_served_only_with_its_blobs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.write(b"hello")
    store.record(A, Result({"x": name}))
    assert store.lookup(A) == Result({"x": name})
    (path,) = list(tmp_path.rglob(name))
    path.unlink()
    assert store.lookup(A) is None


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError):
        write_atomic(path, b"three")
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_abandoned_files_are_swept(tmp_path: Path) -> None:
    for name, age in ((".tmp-old", 2 * ABANDONED), (".tmp-new", 0), ("kept", 2 * ABANDONED)):
        path = tmp_path / name
        path.write_bytes(b"")
        then = path.stat().st_mtime - age
        os.utime(path, (then, then))
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-new", "kept"]
    sweep(tmp_path / "nowhere")


def test_many_writers_of_one_blob(tmp_path: Path) -> None:
    store = Store(tmp_path)
    data = [bytes([n % 5]) * 1000 for n in range(40)]
    threads = [threading.Thread(target=store.write, args=(blob,)) for blob in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.read(digest(blob)) == blob for blob in data)
    assert not list(tmp_path.rglob(".tmp-*"))
