"""Condition groups and key templates at a running gateway: addresses behind proxies, hostile values, policies side by side."""

from __future__ import annotations

from harness.credentials import bearer
from harness.descriptions import describe

SHOP = describe({"/a": {"get": {"x-wso2-throttling-tier": "Shared"}}}, base="/shop", title="shop")
CLOSED = describe({"/a": ["get"]}, base="/shop", title="shop", secured=True)


def statuses(client, *headers, path="/shop/a", count):
    return [client.get(path, *headers).status for _ in range(count)]


def test_an_address_range_behind_a_trusted_proxy_has_its_own_allowance(gateway):
    policies = """\
resourcePolicies:
  - Shared:
      count: 1
      timeUnit: day
      unitTime: 1
      conditions:
        - office: {when: {address: [203.0.113.1-203.0.113.9, "2001:db8::/32"]}, count: 3}
"""
    proxies = '[listenerConfig]\ntrustedProxies = ["127.0.0.1"]\n'
    served = gateway(SHOP, settings=proxies, files={"policies.yaml": policies})
    with served.connect() as client:
        assert statuses(client, ("X-Forwarded-For", "203.0.113.10"), count=2) == [200, 429]
        assert statuses(client, ("X-Forwarded-For", "203.0.113.9"), count=2) == [200, 200]
        assert statuses(client, ("X-Forwarded-For", "2001:DB8::1"), count=2) == [200, 429]


def test_a_forged_address_chooses_no_group(gateway):
    policies = """\
resourcePolicies:
  - Shared:
      {count: 1, timeUnit: day, unitTime: 1, conditions: [{office: {when: {address: 10.0.0.0/8}, count: 100}}]}
"""
    served = gateway(SHOP, files={"policies.yaml": policies})
    with served.connect() as client:
        assert statuses(client, ("X-Forwarded-For", "10.0.0.1"), count=2) == [200, 429]


def test_r22_a_catastrophic_pattern_and_hostile_values_are_answered(gateway):
    policies = """\
resourcePolicies:
  - Shared:
      count: 1000
      timeUnit: day
      unitTime: 1
      conditions:
        - strange: {when: {header: {X-Long: "^(([a-z])+.)+[A-Z]([a-z])+$"}}, count: 1}
        - odd: {when: {query: {v: "(a+)+$"}}, count: 1000}
"""
    served = gateway(SHOP, settings="[listenerConfig]\nmaxHeaderSize = 100000\n", files={"policies.yaml": policies})
    with served.connect() as client:
        for value in ("a" * 60_000, "aA" * 30_000, "\xff" * 1_000, "ab cd"):
            assert statuses(client, ("X-Long", value), path="/shop/a?v=%FF&v=%61&v&&=", count=1) == [200]
        assert statuses(client, ("X-Long", "abc.Aa"), count=2) == [200, 429]


def test_policies_with_one_template_count_apart(gateway):
    policies = """\
customPolicies:
  - Day: {keyTemplate: "$userId", count: 3, unitTime: 1, timeUnit: day}
  - Trial: {keyTemplate: "$userId", count: 3, unitTime: 1, timeUnit: day, shadow: true}
"""
    served = gateway(CLOSED, files={"policies.yaml": policies})
    with served.connect() as client:
        assert statuses(client, bearer(sub="ann"), count=4) == [200, 200, 200, 429]
        assert statuses(client, bearer(sub="bob"), count=4) == [200, 200, 200, 429]


def test_values_that_look_like_others_count_apart_and_those_without_one_not_at_all(gateway):
    policies = """\
customPolicies:
  - Pair: {keyTemplate: "$claim.a:$claim.b", count: 1, unitTime: 1, timeUnit: day}
"""
    served = gateway(CLOSED, files={"policies.yaml": policies})
    with served.connect() as client:
        for pair in (("x:y", "z"), ("x", "y:z"), ("x", ["y", "z"]), ("x", "y,z")):
            assert statuses(client, bearer(sub="ann", a=pair[0], b=pair[1]), count=2) == [200, 429], pair
        assert statuses(client, bearer(sub="ann", a="x"), count=3) == [200, 200, 200]
