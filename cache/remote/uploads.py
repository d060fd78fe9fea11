"""Uploads in the background: they begin when a result is there and hold up the end of a build only for a bounded time."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dolbuild.cache.action import Result
from dolbuild.cache.digest import Digest
from dolbuild.cache.remote.backend import MAX_BLOB, Backend
from dolbuild.cache.remote.breaker import Breaker

THREADS = 8
PATIENCE = 5.0
"""Seconds without any progress after which the end of a build waits no longer."""

LIMIT = 60.0
"""Seconds that the end of a build waits at the most."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A result to upload under the digest of its action, with the blobs that it needs."""

    action: Digest
    result: Result
    blobs: tuple[Digest, ...]


class Uploads:
    """A queue and threads for it. *read* gives the bytes of a blob, None where it is gone."""

    def __init__(self, backend: Backend, breaker: Breaker, read: Callable[[Digest], bytes | None]) -> None:
        self.backend = backend
        self.breaker = breaker
        self.read = read
        self.done = 0
        self._waiting: deque[Upload] = deque()
        self._active = 0
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False

    def add(self, upload: Upload) -> None:
        """Upload a result as soon as there is a thread for it."""
        with self._changed:
            if self._closed or self.breaker.broken:
                return
            self._waiting.append(upload)
            if len(self._threads) < THREADS and len(self._waiting) > len(self._threads) - self._active:
                thread = threading.Thread(target=self._work, name="upload", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def finish(self, patience: float = PATIENCE, limit: float = LIMIT) -> int:
        """Wait for what is left, within bounds (seconds); gives how many results were not uploaded."""
        end = time.monotonic() + limit
        with self._changed:
            while (self._waiting or self._active) and not self.breaker.broken:
                before = self.done
                if not self._changed.wait_for(
                    lambda before=before: self.done != before or self.breaker.broken or not self._left(),  # type: ignore[misc]
                    min(patience, max(0.0, end - time.monotonic())),
                ):
                    break
            left = self._left()
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        return left

    def _left(self) -> int:
        return len(self._waiting) + self._active

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                taken = [self._waiting.popleft() for _ in range(min(self.backend.batch, len(self._waiting)))]
                self._active += len(taken)
            try:
                self.breaker.call(lambda taken=taken: self._upload(taken), None)  # type: ignore[misc]
            finally:
                with self._changed:
                    self._active -= len(taken)
                    self.done += len(taken)
                    if self.breaker.broken:
                        self._waiting.clear()
                    self._changed.notify_all()

    def _upload(self, uploads: Sequence[Upload]) -> None:
        """Blobs first: a result is there only where all that it names is."""
        wanted = {blob for upload in uploads for blob in upload.blobs if 0 < blob.size <= MAX_BLOB}
        gone: set[Digest] = set()
        found: list[tuple[Digest, bytes]] = []
        for digest in self.backend.missing(sorted(wanted)):
            data = self.read(digest)
            if data is None:
                gone.add(digest)
            else:
                found.append((digest, data))
        self.backend.put_blobs(found)
        for upload in uploads:
            if gone.isdisjoint(upload.blobs):
                self.backend.put_result(upload.action, upload.result.encode())
