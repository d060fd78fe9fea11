"""Values that were used lately, as many as there is room for."""

import threading
from collections import OrderedDict
from typing import Any


class Recent:
    """Keeps values by key until their sizes add up to more than *limit*; those that were not asked for longest go first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._values: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:
        """The value, or None where it is not here."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: str, value: Any, size: int) -> None:
        """Keep a value. The last one is kept whatever its size."""
        with self._lock:
            before = self._values.pop(key, None)
            self._size += size - (before[1] if before is not None else 0)
            self._values[key] = (value, size)
            while self._size > self.limit and len(self._values) > 1:
                self._size -= self._values.popitem(last=False)[1][1]
