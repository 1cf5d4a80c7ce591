"""The table of what was revoked: shared memory with one writer, the steward, and readers that take no lock.

Open addressing over 32-byte rows: a 16-byte digest, until when the entry stands and which sources say so, and, where only
what was issued before a moment is meant, that moment. `EPOCH` changes with every addition, so that who was cleared once is
cleared by one comparison until then. The supervisor makes the memory before any fork; `book.py` writes, `stage.py` reads.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

Region: TypeAlias = "mmap | memoryview | bytearray"

# Who may say that something is revoked. Each has a bit in a row for "said by", and one for the reading in which it said so.
SOURCES = ("realtime", "persistent", "redis", "file", "feed")
FOREVER = (1 << 47) - 1  # seconds since 1970

EPOCH = 0
ENTRIES = 1
CLOSED = 2  # not zero: nothing is cleared, because not all that was revoked is known
REFUSED_ENTRIES = 3  # that found no room
_MOVING = 4  # odd while rows move
_SOURCES = 8
_SOURCE_WORDS = 4
LOADED, DOWN_SINCE, READING = range(3)  # of a source
_HEADER_WORDS = 64
_ROW_WORDS = 4
_LOW, _VALUE, _BEFORE = 1, 2, 3  # behind the high word of the digest, which is zero in an empty row
_BLOCK_ROWS = 512
_SOURCE_BITS = 16
_MAX_LOOKS = 8  # at rows that move

_unpack = struct.Struct("<QQ").unpack


class Entry(NamedTuple):
    """`until` and `before` are seconds since 1970; `before` is 0 for all, or spares what was issued later."""

    key: bytes
    until: int
    before: int = 0


def region_size(capacity: int) -> int:
    """Bytes for so many entries; pages that are not written to cost nothing."""
    rows = _rows(capacity)
    return 8 * (_HEADER_WORDS + rows // _BLOCK_ROWS + rows * _ROW_WORDS)


def _rows(capacity: int) -> int:
    """A power of two that leaves a third of the rows empty at least, so that a search for nothing ends soon."""
    return max(_BLOCK_ROWS, 1 << (capacity + capacity // 2 - 1).bit_length())


class Table:
    """The reader's side. `cells[EPOCH]` is all that the common way looks at."""

    def __init__(self, region: Region) -> None:
        self.cells: memoryview[int] = memoryview(region).cast("B").cast("Q")
        rows = _BLOCK_ROWS
        while len(self.cells) >= _HEADER_WORDS + 2 * rows // _BLOCK_ROWS + 2 * rows * _ROW_WORDS:
            rows *= 2
        self._mask = rows - 1
        self._blocks = rows // _BLOCK_ROWS
        self._first = _HEADER_WORDS + self._blocks

    def __len__(self) -> int:
        return self.cells[ENTRIES]

    def find(self, key: bytes, now: float) -> int | None:
        """The moment before which the entry's tokens were issued, 0 for all; None where nothing is revoked."""
        cells = self.cells
        for _ in range(_MAX_LOOKS):
            moving = cells[_MOVING]
            cell = self._look(key)
            if cell is not None:
                value, before = cells[cell + _VALUE], cells[cell + _BEFORE]
                if _unpack(key)[1] != cells[cell + _LOW]:
                    continue  # it was moved while it was read
                return int(before) if value >> _SOURCE_BITS > now else None
            if moving == cells[_MOVING]:
                return None
        return None  # the writer died while it moved a row; each row is in one of its two places at least

    def _look(self, key: bytes) -> int | None:
        """The first cell of the row of a key."""
        high, low = _unpack(key)
        high |= 1
        cells, first, mask = self.cells, self._first, self._mask
        row = low & mask
        for _ in range(mask + 1):
            cell = first + row * _ROW_WORDS
            word = cells[cell]
            if word == 0:
                return None
            if word == high and cells[cell + _LOW] == low:
                return int(cell)
            row = (row + 1) & mask
        return None

    def of_source(self, source: int, word: int) -> int:
        return self.cells[_SOURCES + source * _SOURCE_WORDS + word]


class WritableTable(Table):
    """The writer's side: of one process at a time."""

    def __init__(self, region: Region, capacity: int) -> None:
        super().__init__(region)
        self._capacity = capacity
        if self.cells[_MOVING] & 1:
            self.cells[_MOVING] += 1  # of a writer that died; a row that is there twice goes with its time

    def set_source(self, source: int, word: int, value: int) -> None:
        self.cells[_SOURCES + source * _SOURCE_WORDS + word] = value

    def turn(self) -> None:
        """Nobody is cleared any more until they are looked up anew."""
        self.cells[EPOCH] += 1

    def add(self, entry: Entry, source: int, now: int) -> bool:
        """Enter what a source says; True where somebody may be revoked by it who was not. The caller turns the epoch."""
        cells = self.cells
        bits = 1 << (2 * source) | self.of_source(source, READING) << (2 * source + 1)
        cell = self._look(entry.key)
        if cell is None:
            return self._enter(entry, bits)
        value = cells[cell + _VALUE]
        until, before = value >> _SOURCE_BITS, cells[cell + _BEFORE]
        others = value & ((1 << _SOURCE_BITS) - 1) & ~(3 << (2 * source))
        if until <= now:
            until, others, wider = 0, 0, True
        else:
            wider = before != 0 and (entry.before == 0 or entry.before > before)
        if wider:
            cells[cell + _BEFORE] = entry.before
        # What only lingers stands as long as the new entry says.
        until = max(until, entry.until) if others or value & (3 << (2 * source)) else entry.until
        cells[cell + _VALUE] = until << _SOURCE_BITS | others | bits
        return wider

    def _enter(self, entry: Entry, bits: int) -> bool:
        cells, first, mask = self.cells, self._first, self._mask
        if cells[ENTRIES] >= self._capacity:
            cells[REFUSED_ENTRIES] += 1
            return False
        high, low = _unpack(entry.key)
        row = low & mask
        while cells[first + row * _ROW_WORDS]:
            row = (row + 1) & mask
        cell = first + row * _ROW_WORDS
        cells[cell + _LOW] = low
        cells[cell + _VALUE] = entry.until << _SOURCE_BITS | bits
        cells[cell + _BEFORE] = entry.before
        cells[cell] = high | 1  # last: from now on readers see the row
        cells[ENTRIES] += 1
        cells[_HEADER_WORDS + row // _BLOCK_ROWS] += 1
        return True

    def release(self, key: bytes, source: int, linger_until: int) -> None:
        """A source no longer says so. Without another one that does, the entry stands no longer than `linger_until`."""
        cell = self._look(key)
        if cell is not None:
            self._release(cell, source, linger_until)

    def _release(self, cell: int, source: int, linger_until: int) -> None:
        value = self.cells[cell + _VALUE]
        until = value >> _SOURCE_BITS
        others = value & ((1 << _SOURCE_BITS) - 1) & ~(3 << (2 * source))
        if not others:
            until = min(until, linger_until)
        self.cells[cell + _VALUE] = until << _SOURCE_BITS | others

    def release_unread(self, source: int, linger_until: int) -> Iterator[None]:
        """Release what the last whole reading of a source did not name, a piece with each step."""
        said, reading = 1 << (2 * source), self.of_source(source, READING) << (2 * source + 1)
        both = 3 << (2 * source)
        for block in self._touched():
            for row, value in self._values(block):
                if value & said and value & both != said | reading:
                    self._release(self._first + row * _ROW_WORDS, source, linger_until)
            yield

    def sweep(self, now: int) -> Iterator[None]:
        """Let go of entries whose time is over, a piece with each step."""
        for block in self._touched():
            # From behind: what is moved into a freed row was looked at already.
            for row, value in reversed(self._values(block)):
                if value >> _SOURCE_BITS <= now:
                    self._remove(row)
            yield

    def _touched(self) -> Iterator[int]:
        return (block for block in range(self._blocks) if self.cells[_HEADER_WORDS + block])

    def _values(self, block: int) -> list[tuple[int, int]]:
        """Rows of a block that hold an entry, with their value."""
        begin = self._first + block * _BLOCK_ROWS * _ROW_WORDS
        end = begin + _BLOCK_ROWS * _ROW_WORDS
        values = self.cells[begin + _VALUE : end : _ROW_WORDS].tolist()
        highs = self.cells[begin:end:_ROW_WORDS].tolist()
        return [(block * _BLOCK_ROWS + row, values[row]) for row, high in enumerate(highs) if high]

    def _remove(self, row: int) -> None:
        """Close the gap: entries behind it that were pushed away from their place move up, copied before they are erased."""
        cells, first = self.cells, self._first
        path = [row, *self._movers(row)]
        cells[_MOVING] += 1
        for into, out in pairwise(path):
            there, here = first + into * _ROW_WORDS, first + out * _ROW_WORDS
            cells[there] = 1  # no digest while it is half written, but not the end of a search either
            for word in (_LOW, _VALUE, _BEFORE, 0):
                cells[there + word] = cells[here + word]
        last = first + path[-1] * _ROW_WORDS
        cells[last] = 0
        cells[_MOVING] += 1
        cells[ENTRIES] -= 1
        cells[_HEADER_WORDS + path[-1] // _BLOCK_ROWS] -= 1

    def _movers(self, hole: int) -> Iterator[int]:
        cells, first, mask = self.cells, self._first, self._mask
        row = hole
        while True:
            row = (row + 1) & mask
            cell = first + row * _ROW_WORDS
            if not cells[cell]:
                return
            home = cells[cell + _LOW] & mask
            # It may move up unless its own place lies behind the hole.
            if (row - home) & mask >= (row - hole) & mask:
                hole = row
                yield row
