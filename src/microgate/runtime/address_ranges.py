"""Sets of addresses: networks and ranges merged, so that a long list costs a binary search.

For stages that decide by where a request comes from.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, where IPv4 addresses stand among those of IPv6 (RFC 4291 §2.5.5.2)


class Ranges:
    """A set of addresses: of single ones, networks, and ranges `first-last` with both ends; ValueError for anything else.

    IPv4 is kept as IPv6 writes it, so both spellings of an address are one.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        spans = sorted(_span(text) for text in networks)
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in spans:
            if self._ends and start <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, address: int | None) -> bool:
        if address is None:
            return False
        position = bisect_right(self._starts, address) - 1
        return position >= 0 and address <= self._ends[position]


def number_of(text: str) -> int | None:
    """An address as a number, None for what is none. A zone (`%eth0`) says on which link it is, not whose it is."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return int(address) | _MAPPED if address.version == 4 else int(address)


def _span(text: str) -> tuple[int, int]:
    begin, dash, end = text.partition("-")
    if dash:
        return _span_between(ipaddress.ip_address(begin.strip()), ipaddress.ip_address(end.strip()))
    network = ipaddress.ip_network(text)
    return _span_between(network.network_address, network.broadcast_address)


def _span_between(begin: _Address, end: _Address) -> tuple[int, int]:
    first, last = int(begin), int(end)
    if begin.version != end.version or last < first:
        raise ValueError(f"no range of addresses: {begin}-{end}")
    return (first | _MAPPED, last | _MAPPED) if begin.version == 4 else (first, last)
