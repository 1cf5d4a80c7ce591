"""What the traffic manager has decided, in memory that all processes see and that outlives the steward and generations.

Keys that are throttled stand in an open-addressed table: a digest, and until when. Rules - key templates, blocks, condition
groups - are a text beside it, in two places of which one is valid. One process writes, the steward; readers take no lock.
"""

from __future__ import annotations

import struct
from time import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microgate.errors import StartError
from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from mmap import mmap

    Region: TypeAlias = "mmap | memoryview | bytearray"

MAX_DECISIONS = 100_000
MAX_RULES_BYTES = 2 << 20
FOREVER = 1 << 53

# Words of the head.
ALONE_UNTIL = (
    0  # milliseconds since 1970: until then this gateway counts by itself, since it may not have heard everything
)
DECISIONS = 1  # rows that hold a decision, those that are over included until the next sweep
VERSION = 2  # of the rules; its last bit is the place where they stand
_LENGTHS = 3  # bytes of the rules, of both places
_HEAD_WORDS = 64

_ROWS = 1 << 18
_ROW_WORDS = 3
_LOW, _UNTIL = 1, 2  # behind the high word of the digest
_NEVER, _FREED = 0, 2  # digests are odd; a search ends at a row that was never used
_MAX_STEPS = 64  # from a key's own row
_BLOCK_ROWS = 4_096
_TABLE_BYTES = 8 * (_HEAD_WORDS + _ROWS * _ROW_WORDS)
REGION_BYTES = _TABLE_BYTES + 2 * MAX_RULES_BYTES

_unpack = struct.Struct("<QQ").unpack


def make_memory() -> mmap:
    """Raises StartError."""
    try:
        region = make_region("decisions", REGION_BYTES)
    except (OSError, ValueError) as error:
        raise StartError("cannot get memory for the decisions of the traffic manager") from error
    begin(region)
    return region


def begin(region: Region) -> None:
    """Nobody has said anything yet."""
    with memoryview(region).cast("B").cast("Q") as cells:
        cells[ALONE_UNTIL] = FOREVER


class Place(NamedTuple):
    """Where a key is looked for: the first cell of its own row, and the words of its digest."""

    cell: int
    high: int
    low: int


def place_of(key: bytes) -> Place:
    """The place of a key with this digest, of 16 bytes."""
    high, low = _unpack(key)
    return Place(_HEAD_WORDS + (low % _ROWS) * _ROW_WORDS, high | 1, low)


class Decisions:
    """The reader's side. Times are milliseconds since 1970."""

    def __init__(self, region: Region) -> None:
        whole = memoryview(region).cast("B")
        self.cells: memoryview[int] = whole[:_TABLE_BYTES].cast("Q")
        self._texts = whole[_TABLE_BYTES:]

    def until(self, place: Place) -> int:
        """Until when the key of this place is throttled; 0 where nothing was said of it."""
        cells = self.cells
        cell, high, _ = place
        if cells[cell] == _NEVER:
            return 0
        row = self._find(place)
        if row < 0:
            return 0
        until = cells[row + _UNTIL]
        # Another key may have taken the row over meanwhile.
        return int(until) if cells[row] == high else 0

    def _find(self, place: Place) -> int:
        """The first cell of a key's row, -1 where it has none."""
        _, high, low = place
        cells = self.cells
        for step in range(_MAX_STEPS):
            cell = _HEAD_WORDS + ((low + step) % _ROWS) * _ROW_WORDS
            word = cells[cell]
            if word == high and cells[cell + _LOW] == low:
                return int(cell)
            if word == _NEVER:
                return -1
        return -1

    def rules(self) -> tuple[int, bytes]:
        """The rules and their version."""
        cells = self.cells
        while True:
            version = cells[VERSION]
            place = version & 1
            begin_at = place * MAX_RULES_BYTES
            text = bytes(self._texts[begin_at : begin_at + cells[_LENGTHS + place]])
            if cells[VERSION] == version:  # else the writer may have come round to this place
                return version, text


class WritableDecisions(Decisions):
    """The writer's side: of one process at a time."""

    def __init__(self, region: Region, clock: Callable[[], float] = time) -> None:
        super().__init__(region)
        self._clock = clock

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def enter(self, key: bytes, until: int) -> bool:
        """The key is throttled until then; False where there is no room for one more."""
        cells = self.cells
        place = place_of(key)
        row = self._find(place)
        if row >= 0:
            cells[row + _UNTIL] = until
            return True
        _, high, low = place
        row = self._free_row(low)
        if row < 0:
            return False
        cells[DECISIONS] += cells[row] in (_NEVER, _FREED)
        if cells[row] != _NEVER:
            cells[row] = _FREED  # nobody's, while it is half written
        cells[row + _LOW] = low
        cells[row + _UNTIL] = until
        cells[row] = high  # last: from now on readers see it
        return True

    def _free_row(self, low: int) -> int:
        cells, now = self.cells, self._now_ms()
        is_full = cells[DECISIONS] >= MAX_DECISIONS
        for step in range(_MAX_STEPS):
            cell = _HEAD_WORDS + ((low + step) % _ROWS) * _ROW_WORDS
            unused = cells[cell] in (_NEVER, _FREED)
            if (unused and not is_full) or (not unused and cells[cell + _UNTIL] <= now):
                return int(cell)
        return -1

    def leave(self, key: bytes) -> None:
        """The key is not throttled any more."""
        row = self._find(place_of(key))
        if row >= 0:
            self.cells[row + _UNTIL] = 0

    def sweep(self) -> Iterator[None]:
        """Let go of decisions whose time is over, a piece with each step, from behind: so that searches end early again."""
        cells, now = self.cells, self._now_ms()
        for end in range(_ROWS, 0, -_BLOCK_ROWS):
            first = _HEAD_WORDS + (end - _BLOCK_ROWS) * _ROW_WORDS
            words = cells[first : first + _BLOCK_ROWS * _ROW_WORDS : _ROW_WORDS].tolist()
            for row in range(_BLOCK_ROWS - 1, -1, -1):
                if words[row]:
                    self._sweep_row(end - _BLOCK_ROWS + row, now)
            yield

    def _sweep_row(self, row: int, now: int) -> None:
        cells = self.cells
        cell = _HEAD_WORDS + row * _ROW_WORDS
        if cells[cell] != _FREED and cells[cell + _UNTIL] > now:
            return
        cells[DECISIONS] -= cells[cell] != _FREED
        following = _HEAD_WORDS + ((row + 1) % _ROWS) * _ROW_WORDS
        cells[cell] = _NEVER if cells[following] == _NEVER else _FREED

    def write_rules(self, text: bytes) -> None:
        """Put other rules in the place of those that are valid."""
        assert len(text) <= MAX_RULES_BYTES
        cells = self.cells
        version = cells[VERSION] + 1
        place = version & 1
        begin_at = place * MAX_RULES_BYTES
        self._texts[begin_at : begin_at + len(text)] = text
        cells[_LENGTHS + place] = len(text)
        cells[VERSION] = version
