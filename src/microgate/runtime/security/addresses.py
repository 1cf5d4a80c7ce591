"""Who may call at all, by address: the stage for `x-microgate-ip` and the lists of the settings.

It stands before every credential. The address is the client's behind trusted proxies. Networks are merged into ranges, so that a
long list costs a binary search; assembly links the stage.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.plan.model import IpRules
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Stage
    from microgate.settings.model import Security

MAX_REMEMBERED = 4_096
DENIED = "auth.address.denied"
NOT_ALLOWED = "auth.address.not_allowed"
UNKNOWN = "auth.address.unknown"

_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, where IPv4 addresses stand among those of IPv6 (RFC 4291 §2.5.5.2)


class Ranges:
    """A set of addresses. IPv4 is kept as IPv6 writes it, so both spellings of an address are one."""

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

    def __contains__(self, address: int) -> bool:
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
    network = ipaddress.ip_network(text)
    first, last = int(network.network_address), int(network.broadcast_address)
    return (first | _MAPPED, last | _MAPPED) if network.version == 4 else (first, last)


def link(settings: Security, rules: IpRules | None) -> Stage | None:
    """The stage of an operation; None where neither its rules nor the settings name an address."""
    lists = [(Ranges(settings.allowed_addresses), Ranges(settings.denied_addresses))]
    if rules is not None:
        lists.append((Ranges(rules.allow), Ranges(rules.deny)))
    allowed = [allow for allow, _ in lists if allow]
    denied = [deny for _, deny in lists if deny]
    if not allowed and not denied:
        return None
    remembered: dict[str, Fault | None] = {}

    def judge(client: str) -> Fault | None:
        number = number_of(client)
        if number is None:
            # A Unix socket's peer has no address, so nobody has denied it; an allow list asks for one.
            return None if client == "unix" and not allowed else Fault(faults.ADDRESS, UNKNOWN)
        if any(number in ranges for ranges in denied):
            return Fault(faults.ADDRESS, DENIED)
        if not all(number in ranges for ranges in allowed):
            return Fault(faults.ADDRESS, NOT_ALLOWED)
        return None

    def check_address(exchange: Exchange) -> Fault | None:
        client = exchange.client
        if client in remembered:
            return remembered[client]
        if len(remembered) >= MAX_REMEMBERED:
            remembered.clear()
        fault = remembered[client] = judge(client)
        return fault

    return check_address
