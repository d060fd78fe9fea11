"""Work that may never end, such as waiting for a server, held to a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_time(work: Callable[[], T], deadline: float) -> T:
    """What *work* gives, if it is there before the deadline (of the monotonic clock, in seconds). A server may drip for ever, in
    headers too; the thread that waits for it ends with the process. Raises TimeoutError."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="bounded", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]
