"""Who may call by address."""

from __future__ import annotations

import time

import pytest

from microgate.plan.model import IpRules
from microgate.runtime.security import addresses
from microgate.settings.model import Security


class _Caller:
    def __init__(self, client: str) -> None:
        self.client = client


def _reason(stage, client: str) -> str:
    fault = stage(_Caller(client))
    return "" if fault is None else fault.reason


@pytest.mark.parametrize(
    ("rules", "client", "reason"),
    [
        (IpRules(deny=("192.0.2.0/24",)), "192.0.2.9", addresses.DENIED),
        (IpRules(deny=("192.0.2.0/24",)), "::FFFF:192.0.2.9", addresses.DENIED),
        (IpRules(deny=("192.0.2.0/24",)), "192.0.3.9", ""),
        (IpRules(deny=("192.0.2.0/24",)), "unix", ""),
        (IpRules(deny=("192.0.2.0/24",)), "unknown", addresses.UNKNOWN),
        (IpRules(deny=("192.0.2.0/24",)), "192.0.2.009", addresses.UNKNOWN),
        (IpRules(allow=("192.0.2.0/24",)), "192.0.2.9", ""),
        (IpRules(allow=("192.0.2.0/24",)), "192.0.3.9", addresses.NOT_ALLOWED),
        (IpRules(allow=("192.0.2.0/24",)), "unix", addresses.UNKNOWN),
        (IpRules(allow=("fe80::/10",)), "fe80::1%eth0", ""),
        (IpRules(allow=("192.0.2.0/24",), deny=("192.0.2.9",)), "192.0.2.9", addresses.DENIED),
    ],
)
def test_who_may_call(rules: IpRules, client: str, reason: str) -> None:
    stage = addresses.link(Security(), rules)
    assert _reason(stage, client) == reason
    assert _reason(stage, client) == reason, "once remembered"


def test_the_settings_and_the_description_both_have_to_let_pass() -> None:
    stage = addresses.link(Security(allowed_addresses=("10.0.0.0/8",)), IpRules(allow=("10.1.0.0/16", "11.0.0.0/8")))
    assert _reason(stage, "10.1.0.1") == ""
    assert _reason(stage, "10.2.0.1") == addresses.NOT_ALLOWED
    assert _reason(stage, "11.0.0.1") == addresses.NOT_ALLOWED


def test_without_lists_there_is_no_stage() -> None:
    assert addresses.link(Security(), None) is None
    assert addresses.link(Security(), IpRules()) is None


def test_a_long_list_is_searched_and_memory_is_bounded() -> None:
    networks = tuple(f"10.{a}.{b}.0/25" for a in range(200) for b in range(100))
    stage = addresses.link(Security(), IpRules(deny=networks))
    began = time.perf_counter()
    for number in range(20_000):
        stage(_Caller(f"11.{number >> 8}.{number & 255}.1"))
    assert time.perf_counter() - began < 2.0, "20,000 strangers against 20,000 networks"
    remembered = next(cell.cell_contents for cell in stage.__closure__ if isinstance(cell.cell_contents, dict))
    assert len(remembered) <= addresses.MAX_REMEMBERED
