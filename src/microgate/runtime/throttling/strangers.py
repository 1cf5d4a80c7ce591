"""What is remembered of callers who did not say who they are, by their address.

Each stage has a store for what it knows, by API or by operation, and all stores of a worker are bounded together: addresses cost
a client nothing, and descriptions have thousands of operations.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

MAX_STRANGERS = 16_384


class Strangers(Generic[T]):
    def __init__(self) -> None:
        self._stores: dict[str, dict[str, T]] = {}
        self._count = 0

    def of(self, name: str) -> dict[str, T]:
        """The store of this name, by address."""
        return self._stores.setdefault(name, {})

    def make_room(self) -> None:
        """Before one more is remembered."""
        self._count += 1
        if self._count > MAX_STRANGERS:
            self._count = 1
            for known in self._stores.values():
                known.clear()
