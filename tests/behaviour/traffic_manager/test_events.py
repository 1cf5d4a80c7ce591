"""What a traffic manager is told: an event for each admitted request; and what requests cost when it does not listen (R34)."""

from __future__ import annotations

import json
import threading
import time

from harness.backend import respond
from harness.waiting import wait_until

GOOD = (200, None)


def metric(running, name):
    lines = [line for line in running.gateway.metrics().splitlines() if line.startswith(f"microgate_{name}_total")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_each_admitted_request_is_told_once(shop):
    running = shop()
    assert running.answers(running.token(), path="/shop/a?x=1", count=5) == {GOOD}
    assert running.answers(path="/open/x", count=2) == {GOOD}
    with running.gateway.connect() as client:
        assert client.get("/shop/a").status == 401
    events = running.manager.events
    wait_until(lambda: len(events) == 7, "all events come")
    told = next(event for event in events if event["apiName"] == "Shop")
    assert told | {"messageID": "", "properties": ""} == {
        "messageID": "",
        "appKey": "1:alice",
        "appTier": "Large",
        "apiKey": "/shop:1.0.0",
        "apiTier": "Unlimited",
        "subscriptionKey": "1:/shop:1.0.0",
        "subscriptionTier": "Gold",
        "resourceKey": "/shop/1.0.0/a:GET",
        "resourceTier": "Unlimited",
        "userId": "alice",
        "apiContext": "/shop",
        "apiVersion": "1.0.0",
        "appTenant": "carbon.super",
        "apiTenant": "carbon.super",
        "appId": "1",
        "apiName": "Shop",
        "properties": "",
    }
    assert json.loads(told["properties"]) == {"ip": 2130706433, "ipv6": 0}
    unsaid = next(event for event in events if event["apiName"] == "Open")
    assert [unsaid[name] for name in ("userId", "appId", "appKey", "subscriptionTier")] == [
        "anonymous",
        "127.0.0.1",
        "127.0.0.1:anonymous",
        "Unauthenticated",
    ]
    assert len({event["messageID"] for event in events}) == 7
    wait_until(lambda: metric(running, "throttle_events_sent") == 7, "they are counted")
    running.manager.throttle("1:alice")
    running.becomes((429, 900803), running.token())
    told_before = len(events)
    assert running.answers(running.token()) == {(429, 900803)}
    assert running.answers(running.token("bob")) == {GOOD}
    wait_until(lambda: len(events) >= told_before + 6, "those that were admitted are told")
    assert {event["userId"] for event in events[told_before:]} <= {"bob", "alice"}
    assert [event["userId"] for event in events].count("bob") == 6


def test_where_the_binary_protocol_is_asked_for_http_is_used_and_a_warning_says_so(shop):
    running = shop(binary="true")
    assert running.answers(running.token()) == {GOOD}
    wait_until(lambda: len(running.manager.events) == 6, "events come over HTTP")
    assert running.gateway.output.count("`throttlingConfig.binary` asks for the binary protocol") == 1


def test_properties_are_told_as_the_settings_have_it_and_credentials_never(shop):
    switches = "enableHeaderConditions = true\nenableQueryParamConditions = true\nenableJwtClaimConditions = true\n"
    running = shop(settings=switches)
    headers = [
        ("X-Plan", "beta"),
        ("Cookie", "session=1"),
        ("X-JWT-Assertion", "forged"),
        ("ip", "1"),
        ("plan", "gold"),
    ]
    with running.gateway.connect() as client:
        token = running.token(plan="trial", admin=True)
        assert client.get("/shop/a?q=1&q=2&e=%C3%A9&empty", token, *headers).status == 200
    wait_until(lambda: running.manager.events, "the event comes")
    told = json.loads(running.manager.events[0]["properties"])
    assert {name: told[name] for name in ("X-Plan", "q", "e", "empty", "plan", "admin", "ip")} == {
        "X-Plan": "beta",
        "q": "2",
        "e": "é",
        "empty": "",
        "plan": "trial",
        "admin": "true",
        "ip": 2130706433,
    }
    assert not {name.lower() for name in told} & {"authorization", "cookie", "x-jwt-assertion"}
    assert "eyJ" not in running.manager.events[0]["properties"]


def timed(running, seconds):
    """Requests one after another for a while: their number, and the slowest but one of a hundred."""
    took = []
    with running.gateway.connect() as client:
        token = running.token()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            assert client.get("/shop/a", token).status == 200
            took.append(time.monotonic() - begun)
    return len(took), sorted(took)[len(took) * 99 // 100]


def test_r34_a_receiver_that_hangs_costs_no_request_anything(shop):
    running = shop()
    _, before = timed(running, 1.0)
    memory = running.gateway.memory_kb()
    running.manager.hangs = threading.Event()
    count, during = timed(running, 3.0)
    assert count > 50
    assert during < 5 * before + 0.05
    assert running.gateway.memory_kb() < memory + 30_000
    assert running.answers(running.token()) == {GOOD}
    running.manager.hangs.set()
    running.manager.hangs = None


def test_r34_a_receiver_that_refuses_is_told_once_and_again_when_it_takes_events(shop, backend):
    running = shop(events_status="401 Unauthorized")
    assert running.answers(running.token()) == {GOOD}
    wait_until(lambda: metric(running, "throttle_events_failed") == 6, "all are counted as failed")
    assert running.gateway.output.count("refuses events: it answers 401") == 1
    running.manager.events_status = "202 Accepted"
    assert running.answers(running.token()) == {GOOD}
    wait_until(lambda: "takes events again" in running.gateway.output, "it is told")
    path = "/tm/endpoints/throttleEventReceiver"
    for script in (respond(status="503 Busy"), lambda talk: talk.reset(), lambda talk: talk.send(b"garbage\r\n\r\n")):
        backend.scripts[path] = script
        assert running.answers(running.token()) == {GOOD}
    outcomes = [f"throttle_events_{name}" for name in ("sent", "failed", "dropped")]
    wait_until(lambda: sum(metric(running, name) for name in outcomes) == 30, "all are accounted for", seconds=20)
    assert metric(running, "throttle_events_failed") >= 12
    assert "s3cret" not in running.gateway.output
