"""Our messages are those of the Remote Execution API: compared with the stubs that ``buildstream`` brings along."""

import importlib
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolbuild.cache.action import Record, Result
from dolbuild.cache.digest import Digest, digest_of
from dolbuild.cache.wire import Message, message

PROTOCOL = "buildstream._protos.build.bazel.remote.execution.v2.remote_execution_pb2"
pb: Any = importlib.import_module(PROTOCOL) if os.environ.get("CI") else pytest.importorskip(PROTOCOL)

digests = st.builds(digest_of, st.binary(max_size=8)) | st.builds(
    Digest, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 1 << 40)
)
names = st.from_regex(r"[a-z][a-z0-9.]{0,20}", fullmatch=True)


@given(
    st.dictionaries(names, digests, max_size=5),
    st.none() | st.lists(st.text(max_size=20), max_size=3),
    st.text(max_size=30),
)
def test_results(outputs: dict[str, Digest], notes: Any, signature: str) -> None:
    result = Result(outputs, notes, signature)
    theirs = pb.ActionResult.FromString(result.encode())
    assert {f.path: Digest(f.digest.hash, f.digest.size_bytes) for f in theirs.output_files} == outputs
    assert theirs.exit_code == 0
    assert Result.decode(theirs.SerializeToString()) == result


def test_contents_are_sent_along() -> None:
    data = b"interface"
    result = Result({"doli": digest_of(data)}).with_contents({"doli": data})
    (file,) = pb.ActionResult.FromString(result.encode()).output_files
    assert file.contents == data
    assert Result.decode(result.encode()).contents == {"doli": data}


def test_a_record_is_an_action() -> None:
    record = Record("module", 1, "tool", {"file": "x"}, {"source": digest_of(b"x").hash})
    action = pb.Action.FromString(record.encoded)
    assert b'"rule":"module"' in action.salt
    assert action.command_digest.size_bytes == action.input_root_digest.size_bytes == 0
    assert not action.do_not_cache
    assert Record.decode(action.SerializeToString()) == record


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers(number: int) -> None:
    theirs = pb.Digest.FromString(message((2, number)))
    assert theirs.size_bytes == number
    assert Message(theirs.SerializeToString()).number(2) == number


@given(st.lists(st.integers(0, 9), max_size=6))
def test_packed_numbers(numbers: list[int]) -> None:
    theirs = pb.CacheCapabilities(digest_functions=numbers)
    assert Message(theirs.SerializeToString()).numbers(1) == numbers


@given(st.binary(max_size=100))
def test_garbage_is_a_value_error(data: bytes) -> None:
    try:
        found = Message(data)
        found.text(1), found.number(2), found.message(3), found.messages(4), found.numbers(5)
    except ValueError:
        pass
