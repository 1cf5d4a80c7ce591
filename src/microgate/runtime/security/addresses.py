"""Who may call at all, by address: the stage for `x-microgate-ip` and the lists of the settings.

It stands before every credential. The address is the client's behind trusted proxies. linking.py
links the stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.address_ranges import Ranges, number_of
from microgate.runtime.faults import Fault

if TYPE_CHECKING:
    from microgate.plan.model import IpRules
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Stage
    from microgate.settings.model import Security

MAX_REMEMBERED = 4_096
DENIED = "auth.address.denied"
NOT_ALLOWED = "auth.address.not_allowed"
UNKNOWN = "auth.address.unknown"


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
