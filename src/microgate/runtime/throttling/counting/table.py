"""The counts of all keys, shared by the processes of a gateway: one row for each key, and in it one cell for each worker.

A worker writes none but its own column, so nothing is lost and nothing is locked where a key is known; a new key takes a lock
once. What a cell means is the business of windows.py and buckets.py. A process that has no column of its own, because the
worker before it still serves or because it drains itself, shares one with others under the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    Memory: TypeAlias = "mmap | bytearray"

# Words of the head.
EPOCH = 0  # turns when rows are let go of: whoever remembers a row looks for it anew
KEYS = 1
SHARED_ROWS = 2  # keys that found no room and share a row with others
OFFSET = 3  # microseconds from this machine's monotonic clock to the gateway's, see clock.py
NODE_NAME = 4  # what other gateways know this one by, see stores/sharing.py
STORE_AWAY = 5  # it was told that the store of shared counts cannot be had
SHARING_AWAY = 6  # the steward cannot tell other gateways what was counted, nor hear of them
COMMON = 7  # not zero: processes without a column of their own count too
_OWNERS = 8  # one process id for each worker's column, 0 where nobody has it

# Words of a row; the cells follow: one for each worker, one that is shared under the lock, one for what other nodes counted.
LOW = 1  # behind the high word of the digest, which is `_EMPTY` in a row that was never used
META = 2  # how long a count matters, see `meta`
CELLS = 3
LAST_MOMENT = 1 << 62  # that a cell can hold, in microseconds
_EMPTY, _FREED = 0, 2  # digests are odd
_BUCKET, RETIRING = 1, 2  # flags of META
_FLAG_BITS = 4

OVERFLOW_ROWS = 256  # for each kind of row, shared by the keys that found no room
_SPARE_ROWS = 64 * OVERFLOW_ROWS
# A key is at most so many rows behind its place, so that freed rows, which a search has to pass, cannot make it long. Of a full
# table with as much churn as can be, one key in thousands finds no row there.
_REACH = 256
_FAR_REACH = 1 << 14  # of the rows that are shared
_LOCK_BYTE = 0
_TURN = 1 << 40
_unpack = struct.Struct("<qq").unpack


class LimitRegion(NamedTuple):
    """Made before the fork, and kept over generations. `lock` is a descriptor, -1 where one process has the memory alone."""

    memory: Memory
    slots: int
    capacity: int  # of keys
    lock: int = -1


def open_region(slots: int, capacity: int) -> LimitRegion:
    """Memory for so many workers and keys; pages that no key needs cost nothing."""
    memory = make_region("limits", 8 * (_head_words(slots) + _row_count(capacity) * _row_words(slots)))
    lock = os.memfd_create("microgate-limits-lock", os.MFD_CLOEXEC) if hasattr(os, "memfd_create") else -1
    return LimitRegion(memory, slots, capacity, lock)


def meta(window_s: int, *, bucket: bool = False) -> int:
    """What a row says of its counts: the length of their window, and whether they are a bucket's level."""
    return window_s << _FLAG_BITS | (_BUCKET if bucket else 0)


def window_of(word: int) -> int:
    return word >> _FLAG_BITS


def is_bucket(word: int) -> bool:
    return bool(word & _BUCKET)


def digest(*parts: str) -> bytes:
    """The name of a key: stable over builds and processes. No two lists of parts have the same."""
    pieces = [part.encode("utf-8", "surrogatepass") for part in parts]
    return hashlib.blake2b(b"".join(b"%d:%b" % (len(one), one) for one in pieces), digest_size=16).digest()


def second_key(key: bytes) -> bytes:
    """The name of a second row of the same key."""
    return hashlib.blake2b(key, digest_size=16, person=b"second").digest()


def _head_words(slots: int) -> int:
    return -(-(_OWNERS + slots) // 64) * 64


def _row_words(slots: int) -> int:
    return CELLS + slots + 2


def _row_count(capacity: int) -> int:
    return capacity * 4 // 3 + _SPARE_ROWS


class Table:
    """The sight of one process. `slot` is a worker's, None for the steward, which counts nothing itself."""

    def __init__(self, region: LimitRegion, slot: int | None) -> None:
        self.cells: memoryview[int] = memoryview(region.memory).cast("B").cast("q")
        self.slots = region.slots
        self.width = region.slots + 2  # cells of a row
        self.far = CELLS + region.slots + 1  # the cell of other nodes
        self._common = CELLS + region.slots
        self.column = self._common  # the cell of a row that this process writes
        self.exclusive = False  # nobody else writes it
        self._slot = slot
        self.capacity = region.capacity  # of keys
        self._lock = region.lock
        self._depth = 0
        self._row_words = _row_words(region.slots)
        self._first = _head_words(region.slots)
        self.rows = _row_count(region.capacity)
        # Changes when this process writes another column. Together with the epoch it tells whether rows that were looked up
        # still hold; it counts in steps that the epoch does not reach.
        self.turns = 0

    # Columns.

    def lock(self) -> None:
        """Keep all others out until `unlock`; a process that dies lets go. May be called again within."""
        self._depth += 1
        if self._depth == 1 and self._lock >= 0:
            fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, _LOCK_BYTE)

    def unlock(self) -> None:
        self._depth -= 1
        if self._depth == 0 and self._lock >= 0:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, _LOCK_BYTE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    @property
    def is_alone(self) -> bool:
        """Whether nobody but this worker counts. When that changes the epoch turns."""
        return self.exclusive and self.slots == 1 and not self.cells[COMMON]

    def use_common(self) -> None:
        """Before this process counts without a column of its own: from now on all look there."""
        if not self.cells[COMMON]:
            with self.locked():
                self.cells[COMMON] = 1
                self.cells[EPOCH] += 1

    def claim(self) -> bool:
        """Take the worker's own column once its last owner has gone or given it up."""
        if self.exclusive or self._slot is None:
            return self.exclusive
        owner = _OWNERS + self._slot
        with self.locked():
            if self.cells[owner] not in (0, os.getpid()) and lives(self.cells[owner]):
                return False
            self.cells[owner] = os.getpid()
        self.column = CELLS + self._slot
        self.exclusive = True
        self.turns += _TURN
        return True

    def give_up(self) -> None:
        """From now on the column is the successor's; what this process still counts goes where all may write."""
        if not self.exclusive or self._slot is None:
            self._slot = None
            return
        self.exclusive = False
        self.column = self._common
        self.turns += _TURN
        with self.locked():
            if self.cells[_OWNERS + self._slot] == os.getpid():
                self.cells[_OWNERS + self._slot] = 0
        self._slot = None

    # Rows.

    def find(self, key: bytes, kind: int) -> int:
        """The first word of a key's row; a key that has none gets one. `kind` is what `meta` gives."""
        row = self._look(key)
        if row < 0 or self.cells[row + META] & RETIRING:
            with self.locked():
                return self._enter(key, kind)
        return row

    def _look(self, key: bytes, reach: int = _REACH) -> int:
        high, low = _unpack(key)
        high |= 1
        cells, first, words, rows = self.cells, self._first, self._row_words, self.rows
        position: int = low % rows
        for _ in range(min(reach, rows)):
            row = first + position * words
            word = cells[row]
            if word == high and cells[row + LOW] == low:
                return row
            if word == _EMPTY:
                return -1
            position = position + 1 if position + 1 < rows else 0
        return -1

    def _enter(self, key: bytes, kind: int) -> int:
        cells = self.cells
        row = self._look(key)
        if row >= 0:
            cells[row + META] &= ~RETIRING
            return row
        if cells[KEYS] < self.capacity:
            row = self._fill(key, kind, _REACH)
            if row >= 0:
                return row
        cells[SHARED_ROWS] += 1
        key = digest("overflow", str(kind), str(key[0] % OVERFLOW_ROWS))
        row = self._look(key, _FAR_REACH)
        if row >= 0:
            cells[row + META] &= ~RETIRING
            return row
        return self._fill(key, kind, _FAR_REACH)

    def _fill(self, key: bytes, kind: int, reach: int) -> int:
        """Give a key the first row that is free; -1 where none is within reach."""
        high, low = _unpack(key)
        cells, first, words, rows = self.cells, self._first, self._row_words, self.rows
        position: int = low % rows
        for _ in range(min(reach, rows)):
            row = first + position * words
            if cells[row] in (_EMPTY, _FREED):
                break
            position = position + 1 if position + 1 < rows else 0
        else:
            return -1
        for cell in range(row + CELLS, row + words):
            cells[cell] = 0
        cells[row + META] = kind
        cells[row + LOW] = low
        cells[row] = high | 1  # last: from now on others see the row
        cells[KEYS] += 1
        return row

    def counts(self, row: int) -> memoryview[int]:
        """The cells of a row."""
        return self.cells[row + CELLS : row + self._row_words]

    # Letting go, for the steward.

    def block(self, begin: int, count: int) -> list[tuple[int, list[int]]]:
        """Rows in use from the row number `begin` on, as (first word, all words)."""
        words = self._row_words
        start = self._first + begin * words
        end = self._first + min(begin + count, self.rows) * words
        highs = self.cells[start:end:words].tolist()
        return [
            (start + position * words, self.cells[start + position * words : start + (position + 1) * words].tolist())
            for position, high in enumerate(highs)
            if high & 1
        ]

    def is_row(self, row: int) -> bool:
        """Whether a row begins at a word."""
        position, rest = divmod(row - self._first, self._row_words)
        return rest == 0 and 0 <= position < self.rows

    def words(self, row: int) -> list[int]:
        found: list[int] = self.cells[row : row + self._row_words].tolist()
        return found

    def retire(self, row: int) -> None:
        """Say that a row will be let go of unless somebody asks for it. The caller holds the lock."""
        self.cells[row + META] |= RETIRING

    def free(self, row: int) -> None:
        """Let go of a retired row. The caller holds the lock."""
        cells, words, rows = self.cells, self._row_words, self.rows
        cells[KEYS] -= 1
        cells[row] = _FREED
        # A search ends at an empty row; freed ones before it need not be passed any more.
        position = (row - self._first) // words
        following = position + 1 if position + 1 < rows else 0
        while cells[self._first + following * words] == _EMPTY and cells[row] == _FREED:
            cells[row] = _EMPTY
            following, position = position, position - 1 if position else rows - 1
            row = self._first + position * words


def lives(process: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
