"""What policies.yaml says is what holds at a running gateway: its units, its groups, costs, and which of several tiers counts."""

from __future__ import annotations

from harness.descriptions import describe
from harness.waiting import wait_until

POLICIES = """\
resourcePolicies:
  - Two: {count: 2, unitTime: 1, timeUnit: DAY}
  - Three: {count: 3, unitTime: 1, timeUnit: Year}
  - EachSecond: {count: 1, unitTime: 1, timeUnit: Second}
  - Robots:
      conditions:
        - robots: {when: {header: {User-Agent: bot}, not: {query: {key: ^known$}}}, count: 1, unitTime: 1, timeUnit: day}
"""
FILES = {"policies.yaml": POLICIES}


def statuses(gateway, *targets, fields=()):
    with gateway.connect() as client:
        return [client.get(target, *fields).status for target in targets]


def test_both_spellings_of_a_tier(gateway):
    """WSO2 §3.4: on operations the API Manager's wins, at the root the gateway's own."""
    both = {"x-throttling-tier": "Two", "x-wso2-throttling-tier": "Three"}
    running = gateway(describe({"/a": {"get": both}, "/b": ["get"]}, base="/s"), files=FILES)
    assert statuses(running, "/s/a", "/s/a", "/s/a", "/s/b") == [200, 200, 429, 200]
    root = {key.replace("-", "_"): value for key, value in both.items()}
    running = gateway(describe(["/a"], base="/s", **root), files=FILES)
    assert statuses(running, *["/s/a"] * 4) == [200, 200, 200, 429]


def test_a_tier_at_the_root_drops_those_of_operations(gateway):
    paths = {"/a": {"get": {"x-throttling-tier": "Two"}}, "/b": ["get"]}
    running = gateway(describe(paths, base="/s", x_wso2_throttling_tier="Three"), files=FILES)
    assert statuses(running, "/s/a", "/s/a", "/s/a", "/s/b") == [200, 200, 200, 429]


def test_windows_of_a_second(gateway):
    running = gateway(describe({"/a": {"get": {"x-throttling-tier": "EachSecond"}}}, base="/s"), files=FILES)
    with running.connect() as client:
        wait_until(lambda: client.get("/s/a").status == 429, "the second is used up", seconds=10)
        answer = client.get("/s/a")
        assert answer.status == 200 or answer.header("Retry-After") == "1"
        wait_until(lambda: client.get("/s/a").status == 200, "the next second", seconds=10)


def test_what_costs_nothing_is_not_counted(gateway):
    free = {"x-throttling-tier": "Two", "x-microgate-throttling-cost": 0}
    dear = {"x-throttling-tier": "Two", "x-microgate-throttling-cost": 2}
    running = gateway(describe({"/a": {"get": free}, "/b": {"get": dear}}, base="/s"), files=FILES)
    assert statuses(running, *["/s/a"] * 4, "/s/b", "/s/b") == [200, 200, 200, 200, 200, 429]


def test_a_policy_of_groups_alone_limits_nobody_else(gateway):
    running = gateway(describe({"/a": {"get": {"x-throttling-tier": "Robots"}}}, base="/s"), files=FILES)
    assert statuses(running, *["/s/a"] * 4) == [200] * 4
    assert statuses(running, *["/s/a"] * 3, fields=(("User-Agent", "a bot"),)) == [200, 429, 429]
    assert statuses(running, *["/s/a?key=known"] * 2, fields=(("User-Agent", "a bot"),)) == [200, 200]
    assert statuses(running, "/s/a") == [200]
