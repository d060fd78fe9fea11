"""A process that runs jobs for a build: ``python -m dolbuild.rules.worker STORE``.

It reads requests from its standard input and answers on its standard output, each a pickle behind its length (`rules/pool.py` speaks to it),
until its input ends, which it does when the build ends in whatever way. Its own parent is the only one who can write to it.
"""

import gc
import io
import os
import pickle
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from dolbuild.cache.digest import Digest
from dolbuild.cache.store import Store
from dolbuild.deep import deeply
from dolbuild.rules.jobs import CompileModule, ExtractInterface, Job, Missing, Objects, Outcome, Ref
from dolbuild.rules.lru import Recent

MAX_DECODED = 24 << 20
"""Bytes of artifacts that are kept decoded."""

MAX_LINKABLES = 2
DONE, MISSING, CRASHED = "done", "missing", "crashed"
_LENGTH = struct.Struct("<Q")


class WorkerInputs:
    """What a job may ask for: artifacts that are in the local store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._values = Recent(MAX_DECODED)
        self._linkables = Recent(MAX_LINKABLES)

    def value(self, ref: Ref, decode: Callable[[bytes], Any]) -> Any:
        key = f"{ref.artifact}:{ref.digest.hash}"
        found = self._values.get(key)
        if found is None:
            data = self.store.read(ref.digest.hash) if ref.digest.size else b""
            if data is None:
                raise Missing(ref)
            try:
                found = decode(data)
            except Exception:  # garbage under its right name: the build has to make it again
                raise Missing(ref) from None
            self._values.put(key, found, ref.digest.size)
        return found

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        found = self._linkables.get(key)
        if found is None:
            found = make()
            self._linkables.put(key, found, 1)
        return found


# -- messages --------------------------------------------------------------------------------------


def write_message(file: BinaryIO, data: bytes) -> None:
    """Write one message."""
    file.write(_LENGTH.pack(len(data)) + data)
    file.flush()


def read_message(file: BinaryIO) -> bytes | None:
    """Read one message; None at the end. Raises EOFError where it is cut off."""
    head = file.read(_LENGTH.size)
    if not head:
        return None
    if len(head) == _LENGTH.size:
        (length,) = _LENGTH.unpack(head)
        data = file.read(length)
        if len(data) == length:
            return data
    raise EOFError


class Packer(pickle.Pickler):
    """Pickles requests. The objects of a package go over once; after that its digest is enough. *sent* has those that went."""

    def __init__(self, file: io.BytesIO, sent: set[str]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.sent = sent

    def persistent_id(self, obj: object) -> Any:
        if not isinstance(obj, Objects):
            return None
        if obj.digest in self.sent:
            return (obj.digest, None)
        self.sent.add(obj.digest)
        return (obj.digest, dict(obj.modules))


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, known: dict[str, Objects]) -> None:
        super().__init__(file)
        self.known = known

    def persistent_load(self, pid: Any) -> Objects:
        digest, modules = pid
        if modules is not None:
            self.known[digest] = Objects(digest, modules)
        return self.known[digest]


# -- the loop --------------------------------------------------------------------------------------


def _answer(job: Job, inputs: WorkerInputs) -> tuple[str, Any]:
    started = time.perf_counter()
    try:
        outcome = job.run(inputs)
    except Missing as missing:
        return MISSING, missing.ref
    except Exception:
        return CRASHED, traceback.format_exc()
    if isinstance(job, ExtractInterface | CompileModule) and outcome.outputs:
        outcome = _stored(outcome, inputs.store)
    return DONE, replace(outcome, seconds=time.perf_counter() - started)


def _stored(outcome: Outcome, store: Store) -> Outcome:
    """The outcome with its artifacts in the store; as it is where the store cannot be written."""
    stored: dict[str, Digest] = {}
    try:
        for name, data in outcome.outputs.items():
            stored[name] = store.write(data)
    except OSError:
        return outcome
    return Outcome({}, outcome.diagnostics, outcome.failed, stored)


def serve(store: Store, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    inputs = WorkerInputs(store)
    known: dict[str, Objects] = {}
    while (request := read_message(requests)) is not None:
        job = _Unpacker(io.BytesIO(request), known).load()
        write_message(answers, pickle.dumps(_answer(job, inputs), protocol=pickle.HIGHEST_PROTOCOL))


def _end_with(parent: int) -> None:
    """End when the build has gone, also in the middle of a test that never ends."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def main() -> None:
    """The process. What anything prints must not stand between the answers, so it goes to the standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the build is interrupted, and then ends us
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    gc.set_threshold(200_000, 50, 50)
    gc.freeze()
    try:
        deeply(lambda: serve(Store(Path(sys.argv[1])), sys.stdin.buffer, answers))
    except (EOFError, BrokenPipeError):
        pass  # the build has gone
    os._exit(0)


if __name__ == "__main__":
    main()
