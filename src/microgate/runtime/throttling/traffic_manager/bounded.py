"""A dict with a bound on its entries and on their bytes: what finds no room is refused, never what was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """`weigh` says how many bytes an entry has, about."""

    def __init__(self, max_entries: int, max_bytes: int, weigh: Callable[[K, V], int]) -> None:
        self._entries: dict[K, V] = {}
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._bytes = 0

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> list[tuple[K, V]]:
        return list(self._entries.items())

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> bool:
        """False where there is no room; an entry that was there stays as it was then."""
        before = self._entries.get(key)
        grown = self._weigh(key, value) - (0 if before is None else self._weigh(key, before))
        if self._bytes + grown > self._max_bytes or (before is None and len(self._entries) >= self._max_entries):
            return False
        self._entries[key] = value
        self._bytes += grown
        return True

    def pop(self, key: K) -> V | None:
        value = self._entries.pop(key, None)
        if value is not None:
            self._bytes -= self._weigh(key, value)
        return value

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0
