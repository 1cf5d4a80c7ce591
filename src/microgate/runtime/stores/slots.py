"""Which node of a cluster has a key: its slots, as the nodes tell them, and corrections as they come (MOVED).

Source: the specification of Redis Cluster; a hash tag is what stands between the first `{` and the next `}`.
"""

from __future__ import annotations

from binascii import crc_hqx
from bisect import bisect_right
from typing import TYPE_CHECKING

from microgate.runtime.stores.addresses import Address

if TYPE_CHECKING:
    from microgate.runtime.stores.replies import Reply

SLOTS = 16_384
MAX_NODES = 256
_MAX_MOVED = 1_024  # corrections that are kept until the whole is read anew


def slot_of(key: bytes) -> int:
    """A key's slot: CRC-16 of XMODEM."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) % SLOTS


class SlotMap:
    """Ranges of slots with their masters."""

    def __init__(self, ranges: list[tuple[int, int, Address]]) -> None:
        ranges.sort()
        self._ranges = ranges
        self._begins = [begin for begin, _, _ in ranges]
        self._moved: dict[int, Address] = {}

    def find(self, slot: int) -> Address | None:
        moved = self._moved.get(slot)
        if moved is not None:
            return moved
        position = bisect_right(self._begins, slot) - 1
        if position < 0 or slot > self._ranges[position][1]:
            return None
        return self._ranges[position][2]

    def move(self, slot: int, address: Address) -> None:
        if len(self._moved) < _MAX_MOVED:
            self._moved[slot] = address

    def addresses(self) -> set[Address]:
        return {address for _, _, address in self._ranges} | set(self._moved.values())


def read_slots(reply: Reply, asked: Address) -> SlotMap | None:
    """The map of an answer to CLUSTER SLOTS, None where it is none. A node without a host is the one that was asked."""
    if not isinstance(reply, list):
        return None
    ranges: list[tuple[int, int, Address]] = []
    for one in reply:
        match one:
            case [int(begin), int(end), [host, int(port), *_], *_] if 0 <= begin <= end < SLOTS and 0 < port < 65_536:
                name = host.decode("ascii", "replace") if isinstance(host, bytes) else ""
                ranges.append((begin, end, Address(name or asked.host, port)))
            case _:
                return None
    if len({address for _, _, address in ranges}) > MAX_NODES:
        return None
    return SlotMap(ranges)


def read_redirect(text: str, asked: Address) -> tuple[int, Address] | None:
    """Slot and node of `3999 127.0.0.1:6381`, None where it says neither."""
    slot, _, place = text.partition(" ")
    host, _, port = place.rpartition(":")
    if not (slot.isdecimal() and port.isdecimal() and len(slot) < 6 and len(port) < 6):
        return None
    if int(slot) >= SLOTS or not 0 < int(port) < 65_536:
        return None
    return int(slot), Address(host.strip("[]") or asked.host, int(port))
