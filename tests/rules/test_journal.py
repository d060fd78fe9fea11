"""The journal forgets nothing that was finished, whatever happens to its last line."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from dolbuild.cache.action import Result
from dolbuild.cache.digest import digest, digest_of
from dolbuild.rules.journal import Entry, Journal

KEY = digest(b"key")
ENTRY = Entry(KEY, Result({"x": digest_of(b"x")}, [{"code": "W0301"}]), {"target/x": (digest(b"x"), 123, 1)})


def entries(journal: Journal) -> dict[str, Entry]:
    return {name: journal.entries[name] for name in journal.entries}


def test_entries_come_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).record("module:a", ENTRY)
    assert entries(Journal(path)) == {"module:a": ENTRY}


def test_the_last_entry_counts_and_forgetting_lasts(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    other = Entry(digest(b"other"), Result(), {})
    journal.record("a", other)
    journal.record("a", ENTRY)
    journal.record("b", other)
    journal.forget("b")
    assert entries(Journal(path)) == {"a": ENTRY}


def test_every_cut_keeps_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.record("a", ENTRY)
    whole = path.stat().st_size
    journal.record("b", ENTRY)
    data = path.read_bytes()
    for cut in range(whole, len(data)):
        path.write_bytes(data[:cut])
        kept = Journal(path)
        assert kept.entries["a"] == ENTRY
        kept.record("c", ENTRY)
        after = Journal(path).entries
        assert after["a"] == after["c"] == ENTRY


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b'{"dolbuild-journal":99}\n{}\n', b"{}\n" * 10])
def test_garbage_is_an_empty_journal(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(data)
    journal = Journal(path)
    assert entries(journal) == {}
    journal.record("a", ENTRY)
    assert entries(Journal(path)) == {"a": ENTRY}


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for _ in range(200):
        journal.record("a", ENTRY)
    before = path.stat().st_size
    again = Journal(path)
    again.tidy()
    assert entries(again) == {"a": ENTRY}
    assert path.stat().st_size < before / 50 and path.stat().st_size == again.size
    assert entries(Journal(path)) == {"a": ENTRY}


def write_many(path: Path, prefix: str) -> None:
    journal = Journal(path)
    for number in range(100):
        journal.record(f"{prefix}{number}", ENTRY)


def test_two_processes_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    context = get_context("fork")
    processes = [context.Process(target=write_many, args=(path, prefix)) for prefix in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(Journal(path).entries) == 200
