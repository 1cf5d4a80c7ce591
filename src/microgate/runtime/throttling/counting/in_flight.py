"""Requests in flight, for each key over all processes of a gateway: one column for each process, and in each cell a count.

A cell is `life << 32 | count`. A column gets a new life when its process is found dead or another one takes it over, and what
an earlier life counted is worth nothing, so that the share of a killed process is free at once. Before and after a reload the
same rows count, in columns of their own, so the bound holds over both generations.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.throttling.afterwards.dues import PLENTY
from microgate.runtime.throttling.counting.table import CELLS, EPOCH, Table, digest, lives, meta, open_region

if TYPE_CHECKING:
    from microgate.runtime.throttling.afterwards.dues import Dues
    from microgate.runtime.throttling.counting.table import LimitRegion

COLUMNS_PER_WORKER = 2  # of the generation that serves, and of the one that finishes
RETRY_AFTER_SECONDS = 1.0
LOOK_SECONDS = 0.1  # between two looks for processes that have died

_LIFE_BITS = 32
_COUNT = (1 << _LIFE_BITS) - 1
_OWNERS_KEY = digest("in flight", "owners")
_KIND = meta(1)


def open_in_flight(slots: int, capacity: int) -> LimitRegion:
    """Memory for the workers of two generations."""
    return open_region(slots * COLUMNS_PER_WORKER, capacity)


class InFlight:
    """The sight of one process. Where all columns are taken, it holds what it has itself against what it sees of others."""

    def __init__(self, region: LimitRegion, process: int | None = None) -> None:
        self.table = Table(region, None)
        self._columns = region.slots
        self._process = os.getpid() if process is None else process
        # A row as any other: in place of a count, each cell has the process that owns the column, 0 for none.
        self._owners = self.table.counts(self.table.find(_OWNERS_KEY, _KIND))
        self._column = -1
        self._base = 0
        self._alone: dict[int, int] = {}  # by row, without a column
        self._look_at = 0.0
        self._join()

    def _join(self) -> None:
        with self.table.locked():
            self._bury()
            for column in range(self._columns):
                owner = self._owners[column]
                if not owner & _COUNT:
                    self._base = ((owner >> _LIFE_BITS) + 1) << _LIFE_BITS
                    self._owners[column] = self._base | self._process
                    self._column = column
                    return

    def _bury(self) -> bool:
        """Give the columns of dead processes a new life, and no owner; whether there were any."""
        found = False
        for column in range(self._columns):
            owner = self._owners[column]
            process = owner & _COUNT
            if process and not lives(process):
                self._owners[column] = ((owner >> _LIFE_BITS) + 1) << _LIFE_BITS
                found = True
        return found

    def found_dead(self, now: float) -> bool:
        """Look for processes that have died, now and then; whether some of what was counted is worth nothing any more."""
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        with self.table.locked():
            return self._bury()

    @property
    def is_alone(self) -> bool:
        """It has no column."""
        return self._column < 0

    def leave(self) -> None:
        """Nothing is in flight here any more: the column is for others."""
        if self._column >= 0:
            with self.table.locked():
                self._owners[self._column] = ((self._base >> _LIFE_BITS) + 1) << _LIFE_BITS
            self._column = -1

    def enter(self, row: int) -> None:
        """Count one more."""
        if self._column < 0:
            self._alone[row] = self._alone.get(row, 0) + 1
            return
        cells, cell, base = self.table.cells, row + CELLS + self._column, self._base
        word = cells[cell]
        cells[cell] = (word if word > base else base) + 1  # noqa: FURB136 - `max` costs a call

    def exit(self, row: int) -> None:
        """One less; never below none."""
        if self._column < 0:
            left = self._alone.get(row, 0) - 1
            if left > 0:
                self._alone[row] = left
            else:
                self._alone.pop(row, None)
            return
        cell = row + CELLS + self._column
        if self.table.cells[cell] > self._base:
            self.table.cells[cell] -= 1

    def count(self, row: int) -> int:
        """How many there are over all processes."""
        total = self._alone.get(row, 0)
        for word, owner in zip(self.table.counts(row).tolist(), self._owners.tolist(), strict=True):
            if word >> _LIFE_BITS == owner >> _LIFE_BITS:
                total += word & _COUNT
        return total


class InFlightCounter:
    """So many at one time, for one key. It counts requests, whatever they cost."""

    __slots__ = ("_epoch", "_in_flight", "_key", "_row", "_view", "limit")

    def __init__(self, in_flight: InFlight, key: bytes, limit: int) -> None:
        self._in_flight = in_flight
        self._key = key
        self.limit = limit
        self._find()

    def _find(self) -> None:
        # The row of a key with requests in flight is never let go of. Still it changes where the key had found no room.
        table = self._in_flight.table
        self._epoch = table.cells[EPOCH]
        self._row = table.find(self._key, _KIND)
        self._view = table.counts(self._row)

    def take(self, now: float, cost: int) -> int:
        """Below zero, and nothing taken, where it would be one too many."""
        in_flight = self._in_flight
        if in_flight.table.cells[EPOCH] != self._epoch:
            self._find()
        in_flight.enter(self._row)
        total = 0
        for word in self._view.tolist():
            total += word & _COUNT
        # What the dead have left may be in it, but nothing is missing unless this process has no column.
        if total <= self.limit and not in_flight.is_alone:
            return PLENTY
        if in_flight.count(self._row) <= self.limit:
            return PLENTY
        if in_flight.found_dead(now) and in_flight.count(self._row) <= self.limit:
            return PLENTY
        in_flight.exit(self._row)
        return -1

    def give_back(self, cost: int) -> None:
        self._in_flight.exit(self._row)

    def wait_s(self, now: float, cost: int = 1) -> float:
        return RETRY_AFTER_SECONDS

    def join(self, dues: Dues, now: float) -> None:
        """An admitted exchange gives its place back when it ends."""
        dues.places.append(Held(self, self._in_flight, self._row))


class Held(NamedTuple):
    """The place of one exchange, in the row in which it was counted."""

    counter: InFlightCounter
    in_flight: InFlight
    row: int

    def give_back(self) -> None:
        self.in_flight.exit(self.row)


def is_idle(words: list[int], owners: list[int]) -> bool:
    """Whether nothing of a row's key is in flight. The row of the owners never is: lives would begin anew."""
    return words != owners and all(
        word >> _LIFE_BITS != owner >> _LIFE_BITS or not word & _COUNT
        for word, owner in zip(words, owners, strict=True)
    )


def owners_of(table: Table) -> list[int]:
    found: list[int] = table.counts(table.find(_OWNERS_KEY, _KIND)).tolist()
    return found
