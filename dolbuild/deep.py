"""Room for deep recursion: the compiler follows the nesting of a program, which may be deeper than Python's
usual stack.

Work runs in a thread with a large stack of its own; what is too deep even for that is a `RecursionError`,
which the caller turns into a diagnostic.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

FRAMES = 40_000
"""Python frames that may nest."""

STACK = 512 * 1024 * 1024
"""Bytes of address space for the stack; only what is used is ever memory."""

ROOMY = 128 * 1024 * 1024
"""Bytes of address space for the stacks of other threads that look at what a program's nesting has made."""

_lock = threading.Lock()
_here = threading.local()


@contextmanager
def roomy() -> Iterator[None]:
    """While threads that are begun have larger stacks than usual."""
    before = threading.stack_size(ROOMY)
    try:
        yield
    finally:
        threading.stack_size(before)


def deeply(work: Callable[[], T]) -> T:
    """What *work* gives, computed with room to recurse; at once where there is room already. Exceptions pass through. Where it
    is interrupted it is left behind and ends with the process."""
    if getattr(_here, "deep", False):
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        _here.deep = True
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    with _lock:  # the size of a stack is set for the whole process
        before = threading.stack_size(STACK)
        if sys.getrecursionlimit() < FRAMES:
            sys.setrecursionlimit(FRAMES)
        try:
            thread = threading.Thread(target=run, name="deep", daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
