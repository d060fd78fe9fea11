"""Digests, action keys, and the local store."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolbuild.cache.action import Record, Result, encode_digest
from dolbuild.cache.digest import Digest, digest, is_digest
from dolbuild.cache.store import Store
from dolbuild.cache.wire import message
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
    assert record().key == "f7e64087166bae50c8a38d9a5f2390f57f915c65fc31c50217f9c2a6c010e68b"


def test_results_come_back_as_they_went() -> None:
    result = Result({"wasm": Digest(A, 1), "doli": Digest(B, 70_000)}, [{"code": "W0301"}])
    assert Result.decode(result.encode()) == result


@given(st.binary(max_size=200))
def test_garbage_is_a_result_or_a_value_error(data: bytes) -> None:
    try:
        Result.decode(data)
    except ValueError:
        pass


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", ".hidden", "", "a\nb", "x" * 256])
def test_a_result_names_no_paths(name: str) -> None:
    data = message((2, message((1, name), (2, encode_digest(Digest(A, 1))))))
    with pytest.raises(ValueError):
        Result.decode(data)


@pytest.mark.parametrize("found", [Digest("../../etc/passwd", 1), Digest(A, -1), Digest("", 1), Digest(A.upper(), 1)])
def test_a_result_names_only_digests(found: Digest) -> None:
    with pytest.raises(ValueError):
        Result.decode(message((2, message((1, "x"), (2, encode_digest(found))))))


def test_the_result_of_a_failed_action_is_none() -> None:
    with pytest.raises(ValueError):
        Result.decode(message((4, 1)))


def test_blobs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.write(b"hello").hash
    assert name == digest(b"hello")
    assert store.read(name) == b"hello"
    assert store.read(A) is None
    assert store.write(b"hello") == Digest(name, 5)


def test_a_damaged_blob_is_a_miss_and_is_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    name = store.write(b"hello").hash
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
    (path,) = list(tmp_path.rglob(name.hash))
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
