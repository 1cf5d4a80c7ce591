"""What a request counts by its operation and by the status of its answer."""

from __future__ import annotations

import pytest

from harness.backend import respond
from harness.descriptions import describe

TIER = {"x-wso2-throttling-tier": "Ten"}
WINDOWS = ["fixed", "sliding"]


def policies(window="fixed", weights="{5xx: 0, '404': 3, 4xx: 2}"):
    return {
        "policies.yaml": "resourcePolicies:\n"
        f"  - Ten: {{count: 10, unitTime: 1, timeUnit: day, window: {window}, weights: {weights}}}\n"
    }


def left(gateway, path="/a"):
    """What there is after one more request."""
    with gateway.connect() as client:
        return int(client.get(path).header("RateLimit").split(";r=")[1].split(";")[0])


def answer(backend, status):
    backend.script = respond(b"", status=f"{status} Said So")


@pytest.mark.parametrize("window", WINDOWS)
def test_a_status_takes_more_or_gives_back(gateway, backend, window):
    running = gateway(describe({"/a": {"get": TIER}}), files=policies(window))
    found = []
    for status in (200, 503, 404, 403, 200):
        answer(backend, status)
        found.append(left(running))
    # Each sees what is left before its own status is known.
    assert found == [9, 8, 8, 5, 3]


def test_a_weight_may_go_over_the_quota_and_the_next_request_sees_it(gateway, backend):
    running = gateway(describe({"/a": {"get": TIER}}), files=policies(weights="{'404': 9}"))
    answer(backend, 404)
    assert left(running) == 9
    assert left(running) == 0
    with running.connect() as client:
        assert client.get("/a").status == 429


def test_what_the_gateway_itself_answers_for_the_backend_is_weighed_too(gateway, backend):
    running = gateway(describe({"/a": {"get": TIER}}), files=policies())
    backend.script = lambda talk: talk.reset()
    assert [left(running) for _ in range(5)] == [9] * 5


def test_a_refusal_costs_nothing_whatever_its_status_weighs(gateway, backend):
    files = {
        "policies.yaml": "resourcePolicies:\n"
        "  - Ten: {count: 2, unitTime: 1, timeUnit: day, concurrency: 5, weights: {4xx: 0}}\n"
    }
    running = gateway(describe({"/a": {"get": TIER}}), files=files)
    with running.connect() as client:
        assert [client.get("/a").status for _ in range(5)] == [200, 200, 429, 429, 429]


def test_an_operation_counts_what_it_costs(gateway, backend):
    paths = {
        "/a": {"get": TIER | {"x-microgate-throttling-cost": 4}},
        "/b": {"get": TIER | {"x-microgate-throttling-cost": 0}},
    }
    running = gateway(describe(paths), files=policies())
    assert [left(running) for _ in range(2)] == [6, 2]
    with running.connect() as client:
        assert client.get("/a").status == 429
        assert [client.get("/b").status for _ in range(20)] == [200] * 20


def test_a_cost_is_weighed_whole(gateway, backend):
    running = gateway(describe({"/a": {"get": TIER | {"x-microgate-throttling-cost": 4}}}), files=policies())
    answer(backend, 500)
    assert [left(running) for _ in range(4)] == [6] * 4


def test_tokens_of_a_burst_are_weighed_too(gateway, backend):
    files = {
        "policies.yaml": "resourcePolicies:\n"
        "  - Ten: {burst: {size: 10, count: 1, unitTime: 1, timeUnit: day}, weights: {5xx: 0, '404': 3}}\n"
    }
    running = gateway(describe({"/a": {"get": TIER}}), files=files)
    found = []
    for status in (200, 503, 404, 200):
        answer(backend, status)
        found.append(left(running))
    assert found == [9, 8, 8, 5]
