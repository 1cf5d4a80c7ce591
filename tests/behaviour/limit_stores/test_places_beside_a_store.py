"""What is in flight is counted here, beside quotas that a store decides: each request's place is given back once."""

from __future__ import annotations

import threading

from harness.backend import held, respond
from harness.client import compose
from harness.descriptions import describe
from harness.services.redis import Redis
from harness.shared_limits import TITLE, store_settings, token

POLICIES = """\
resourcePolicies:
  - Two: {concurrency: 2}
subscriptionPolicies:
  - Three: {count: 3, unitTime: 1, timeUnit: day, store: strict}
"""
API = describe({"/a": {"get": {"x-wso2-throttling-tier": "Two"}}}, base="/shop", title=TITLE, secured=True)


def calls(running, application, count):
    with running.connect() as client:
        return [client.get("/shop/a", token("Three", application=application)).status for _ in range(count)]


def test_a_request_that_the_store_refuses_takes_no_other_place_along(tmp_path, gateway, backend):
    with Redis(tmp_path / "redis") as store:
        running = gateway(API, files={"policies.yaml": POLICIES}, settings=store_settings([store.url]))
        release = threading.Event()

        def hold(client, application):
            seen = len(backend.requests)
            backend.script = held(release)
            client.send(compose("GET", "/shop/a", [token("Three", application=application)]))
            backend.wait_for(seen + 1)
            backend.script = respond(b"")

        with running.connect() as first, running.connect() as second:
            hold(first, "1")
            assert calls(running, "2", 8) == [200] * 3 + [429] * 5
            hold(second, "3")
            assert calls(running, "4", 2) == [429] * 2
            release.set()
            assert (first.answer().status, second.answer().status) == (200, 200)
        assert calls(running, "4", 2) == [200] * 2
