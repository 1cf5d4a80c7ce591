"""The counters of policies whose counts are shared: made beside the ordinary ones, which count along or decide.

limits.py asks for them through `Stores.place`; what they are asked while a request waits is in stage.py beside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.counting.table import meta, second_key
from microgate.runtime.throttling.counting.windows import FixedCounter, SlidingCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.throttling.counting.table import Table

# What a touched row is, in the low bits beside its position.
FIXED, EVEN, ODD = 0, 1, 2
KIND_BITS = 2

_MICROSECONDS = 1_000_000


class StoredCounter:
    """Counted in the store. `local` counts along, so that a gateway that loses the store knows what it has let pass."""

    __slots__ = ("_spell", "_until", "key", "limit", "local", "soft")

    def __init__(self, local: FixedCounter | SlidingCounter | BucketCounter, name: bytes, *, soft: bool) -> None:
        self.local = local
        self.limit = local.limit
        self.key = name
        self._until = 0.0
        if isinstance(local, BucketCounter):
            kind, span = b"b", b"%.3f" % local.tokens_us
        else:
            kind = b"f" if isinstance(local, FixedCounter) else b"s"
            span = b"%d" % (local.window.length_s * _MICROSECONDS)
        self.soft = soft
        self._spell = (kind, b"%d" % self.limit, span, b"1" if soft else b"0")

    def arguments(self, cost: int) -> tuple[bytes, ...]:
        """What scripts.DECIDE takes for one key."""
        kind, limit, span, soft = self._spell
        return (kind, limit, span, b"%d" % cost, soft)

    def take(self, now: float, cost: int) -> int:
        return self.local.take(now, cost)

    def give_back(self, cost: int) -> None:
        """Nothing: it is only taken once nobody before it refuses, and then all or none."""

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        """Of what counts along alone: the build allows no weights where the store's decision is final."""
        self.local.adjust(taken_at, now, difference)

    def tell_wait(self, now: float, wait_ms: int) -> None:
        self._until = now + wait_ms / 1000

    def wait_s(self, now: float, cost: int = 1) -> float:
        return max(0.0, self._until - now)


class SharedCounter:
    """Decides as the counter that it stands for, and notes that the row has something to tell other gateways."""

    __slots__ = ("_counter", "_rows", "_touched", "give_back", "limit", "take", "wait_s")

    def __init__(self, counter: FixedCounter | SlidingCounter, rows: tuple[int, ...], touched: set[int]) -> None:
        self.limit = counter.limit
        self.give_back = counter.give_back
        self.wait_s = counter.wait_s
        self.take = _noting(counter.take, rows, touched)
        self._counter = counter
        self._rows = rows
        self._touched = touched

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        self._touched.update(self._rows)
        self._counter.adjust(taken_at, now, difference)


def _noting(take: Callable[[float, int], int], rows: tuple[int, ...], touched: set[int]) -> Callable[[float, int], int]:
    note = touched.add
    row = rows[0]
    if len(rows) == 1:

        def take_one(now: float, cost: int) -> int:
            note(row)
            return take(now, cost)

        return take_one

    def take_both(now: float, cost: int) -> int:
        touched.update(rows)
        return take(now, cost)

    return take_both


def rows_of(counter: FixedCounter | SlidingCounter, key: bytes, table: Table) -> tuple[int, ...]:
    """The rows that a counter counts in, as they are told to the steward."""
    kind = meta(counter.window.length_s)
    first = table.find(key, kind) << KIND_BITS
    if isinstance(counter, FixedCounter):
        return (first | FIXED,)
    return first | EVEN, table.find(second_key(key), kind) << KIND_BITS | ODD
