"""How limits are told on one line; whole lists of them are in the transcript `limits`."""

from __future__ import annotations

import pytest

from microgate.cli import limit_text, main
from microgate.plan.model import (
    Allowance,
    Bandwidth,
    Block,
    Burst,
    Condition,
    Policy,
    Quota,
)

DESCRIPTION = """\
openapi: 3.0.3
info: {title: Shop, version: "1"}
servers: [{url: "http://127.0.0.1:1/shop"}]
paths:
  /a: {get: {x-wso2-disable-security: true, responses: {"200": {description: ok}}}}
"""


@pytest.mark.parametrize(
    ("allowance", "text"),
    [
        (Allowance(), "no limit"),
        (Allowance(quota=Quota(5, 1)), "5 in 1 sec"),
        (Allowance(quota=Quota(5, 90)), "5 in 90 secs"),
        (Allowance(quota=Quota(5, 14 * 86_400, sliding=True)), "5 in any 2 weeks"),
        (Allowance(quota=Quota(5, 365 * 86_400), concurrency=3), "5 in 1 year; 3 in flight"),
        (Allowance(burst=Burst(2, 10, 60)), "2 at once, filled with 10 in 1 min"),
        (Allowance(bandwidth=Bandwidth(1, 1)), "1 bytes in 1 sec"),
        (Allowance(bandwidth=Bandwidth(1_500_000, 1, "in")), "1.5 MB of requests in 1 sec"),
        (Allowance(bandwidth=Bandwidth(2**20, 1, "out", slows=True)), "1048576 bytes of answers in 1 sec, slowed"),
    ],
)
def test_allowances(allowance, text):
    assert limit_text.allowance_text(allowance) == text


def test_policies_say_how_they_count():
    policy = Policy("subscription", "A", Allowance(), stop_on_quota=False, weights=(("5xx", 0),), shadow=True)
    told = "no limit; 5xx counts 0; more passes too, and is marked; refuses nothing (shadow)"
    assert limit_text.policy_text(policy) == told


def test_conditions_and_blocks():
    many = tuple(f"10.0.0.{n}" for n in range(9))
    conditions = (
        Condition("header", "user-agent", "bot"),
        Condition("claim", "plan", "^a$", invert=True),
        Condition("address", networks=many, invert=True),
    )
    told = "header user-agent has bot and not claim plan has ^a$ and not address "
    assert limit_text.conditions_text(conditions) == told + "10.0.0.0, 10.0.0.1, 10.0.0.2, 10.0.0.3 and 5 more"
    assert limit_text.block_text(Block("user", "mallory")) == "user mallory"
    assert limit_text.block_text(Block("address", networks=many[:1], invert=True)) == "all but address 10.0.0.0"


def test_very_many_policies_stay_on_their_lines(tmp_path, capsys):
    (tmp_path / "api_definitions").mkdir()
    (tmp_path / "api_definitions/shop.yaml").write_text(DESCRIPTION)
    quota = "count: 5, unitTime: 1, timeUnit: min"
    lines = ["resourcePolicies:", *(f"  - R{n}: {{{quota}}}" for n in range(99))]
    lines += ["customPolicies:", *(f"  - C{n}: {{keyTemplate: $clientIp, {quota}}}" for n in range(99))]
    (tmp_path / "policies.yaml").write_text("\n".join(lines))
    assert main.main(["limits", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].endswith(" 99 custom policies")
    assert printed[-1].endswith(" and 79 more")
    assert max(map(len, printed)) < 250
