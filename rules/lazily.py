"""A mapping whose values are made when someone asks for them: of the many nodes of a large workspace a run looks at few."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazily(Mapping[str, T], Generic[T]):
    """Values by name; *later* ones are made at the first look and kept."""

    def __init__(self) -> None:
        self._made: dict[str, T] = {}
        self._makers: dict[str, Callable[[], T]] = {}
        self._order: dict[str, None] = {}

    def add(self, name: str, value: T) -> None:
        """Add a value that is there."""
        self._made[name] = value
        self._order[name] = None

    def later(self, name: str, make: Callable[[], T]) -> None:
        """Add a value that can be made."""
        self._makers[name] = make
        self._order[name] = None

    def __getitem__(self, name: str) -> T:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._makers[name]()
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._order

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)
