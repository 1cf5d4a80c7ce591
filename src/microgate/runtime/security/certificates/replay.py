"""Proofs that were used, remembered over all workers until they would be refused for their age: shared memory without a lock.

Each worker writes a table of its own and reads all of them. It enters a proof first and looks for it elsewhere then, so
of two workers that get the same proof at once at least one sees the other. A table that is full takes no proof: closed.
"""

from __future__ import annotations

import enum
import hashlib
import os
import struct
from math import ceil
from time import time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    Memory: TypeAlias = "mmap | bytearray"

CAPACITY = 65_536  # proofs that a worker surely remembers; 700 a second of 90 s each. Memory is taken as it is used
SECRET_BYTES = 32  # of the region's head: what nonces are made with, the same in all workers

_DIGEST_BYTES = 16
_ENTRY_BYTES = _DIGEST_BYTES + 4  # and the second in which it ends
_WAYS = 16  # entries of a bucket; a proof may stand in its own or in the next one
_BUCKET_BYTES = _WAYS * _ENTRY_BYTES
_BUCKETS = 4 * CAPACITY // _WAYS  # three of four entries are free, so that no bucket is full by chance
_SPAN_BYTES = 2 * _BUCKET_BYTES
_TABLE_BYTES = (_BUCKETS + 1) * _BUCKET_BYTES  # one more, so that the last one has a next one
_ENDS = tuple(range(_DIGEST_BYTES, _SPAN_BYTES, _ENTRY_BYTES))
_SECOND = struct.Struct("=I")


class ReplayRegion(NamedTuple):
    """Made before the fork, and kept over generations."""

    memory: Memory
    slots: int
    since: float  # in seconds since 1970: what was used before is not remembered

    @property
    def secret(self) -> bytes:
        return bytes(self.memory[:SECRET_BYTES])


def open_region(slots: int, clock: Callable[[], float] = time) -> ReplayRegion:
    memory = make_region("replays", SECRET_BYTES + slots * _TABLE_BYTES)
    memory[:SECRET_BYTES] = os.urandom(SECRET_BYTES)
    return ReplayRegion(memory, slots, clock())


class Entered(enum.Enum):
    """What became of a proof."""

    NEW = enum.auto()
    SEEN = enum.auto()
    FULL = enum.auto()


class Replays:
    """The table of one worker, and the sight of all."""

    def __init__(self, region: ReplayRegion, slot: int) -> None:
        self._memory = region.memory
        self._tables = tuple(SECRET_BYTES + number * _TABLE_BYTES for number in range(region.slots))
        self._own = self._tables[slot]

    def enter(self, name: bytes, until: float, now: float) -> Entered:
        """Remember a proof by its unique `name` until a second since 1970."""
        memory = self._memory
        digest = hashlib.blake2b(name, digest_size=_DIGEST_BYTES).digest()
        offset = int.from_bytes(digest[:8], "big") % _BUCKETS * _BUCKET_BYTES
        own = self._own + offset
        if digest in memory[own : own + _SPAN_BYTES]:
            return Entered.SEEN
        place = self._free(own, now)
        if place < 0:
            return Entered.FULL
        _SECOND.pack_into(memory, place + _DIGEST_BYTES, ceil(until))
        memory[place : place + _DIGEST_BYTES] = digest
        # A predecessor that drains writes the same table: none but a proof that stands there exactly once is new.
        found = sum(memory[table + offset : table + offset + _SPAN_BYTES].count(digest) for table in self._tables)
        return Entered.NEW if found == 1 else Entered.SEEN

    def _free(self, own: int, now: float) -> int:
        for end in _ENDS:
            if _SECOND.unpack_from(self._memory, own + end)[0] <= now:
                return own + end - _DIGEST_BYTES
        return -1
