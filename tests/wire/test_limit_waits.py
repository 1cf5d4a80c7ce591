"""Retry-After is as long as it takes until the same request passes."""

from __future__ import annotations

import time

from harness.descriptions import describe
from harness.waiting import wait_until

POLICIES = """\
resourcePolicies:
  - Dear: {count: 1000, unitTime: 1, timeUnit: day, burst: {size: 3, count: 1, unitTime: 1, timeUnit: sec}}
"""


def test_the_wait_for_a_burst_is_as_long_as_a_request_costs(gateway):
    operation = {"x-wso2-throttling-tier": "Dear", "x-microgate-throttling-cost": 3}
    running = gateway(describe({"/a": {"get": operation}}, base="/shop"), files={"policies.yaml": POLICIES})
    with running.connect() as client:
        begun = time.monotonic()
        assert client.get("/shop/a").status == 200
        refused = client.get("/shop/a")
        assert (refused.status, refused.header("Retry-After")) == (429, "3")
        wait_until(lambda: client.get("/shop/a").status == 200)
        assert 2 < time.monotonic() - begun < 10
