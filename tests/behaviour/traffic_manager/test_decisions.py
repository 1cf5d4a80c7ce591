"""What a traffic manager decides, through a real RabbitMQ, counts on all workers within a second, and for as long as it says."""

from __future__ import annotations

import os
import signal

from harness.services.broker import jms_map
from harness.waiting import wait_until

GOOD = (200, None)
SUBSCRIPTION = (429, 900804)
APPLICATION = (429, 900803)
RESOURCE = (429, 900802)
CUSTOM = (429, 900806)
BLOCKED = (403, 900805)


def test_case_48_keys_are_throttled_until_the_time_that_was_said(shop):
    running = shop()
    token = running.token
    assert running.answers(token()) == {GOOD}  # tiers that policies.yaml does not have are the traffic manager's
    running.manager.throttle("1:/shop:1.0.0", seconds=4)
    assert running.becomes(SUBSCRIPTION, token()) < 1.0
    with running.gateway.connect() as client:
        answer = client.get("/shop/a", token())
    assert answer.json["fault"]["description"] == "You have exceeded your quota"
    assert 1 <= int(answer.header("Retry-After")) <= 4
    assert running.answers(token(application="2")) == {GOOD}
    running.manager.throttle("2:bob")
    assert running.becomes(APPLICATION, token("bob", "2")) < 1.0
    assert running.answers(token("alice", "2")) == {GOOD}
    running.becomes(GOOD, token(), seconds=8)
    running.manager.release("2:bob")
    assert running.becomes(GOOD, token("bob", "2")) < 1.0


def test_callers_who_say_nothing_are_throttled_by_their_address(shop):
    running = shop()
    running.manager.throttle("127.0.0.1:/open:1.0.0")
    assert running.becomes(SUBSCRIPTION, path="/open/x") < 1.0
    assert running.answers(running.token()) == {GOOD}


def test_key_templates_come_and_go_and_older_messages_count_for_nothing(shop):
    running = shop(templates=["$userId:$apiContext:$apiVersion", "$nobody.knows"])
    token = running.token
    running.manager.throttle("alice:/shop:1.0.0")
    assert running.becomes(CUSTOM, token("alice")) < 1.0
    assert running.answers(token("bob")) == {GOOD}
    running.manager.throttle("app 1:/a")
    running.manager.template("app $appId:/a", "add", when=2_000)
    assert running.becomes(CUSTOM, token("bob")) < 1.0
    running.manager.template("app $appId:/a", "remove", when=1_000)
    running.manager.template("$userId:$apiContext:$apiVersion", "remove", when=3_000)
    assert running.becomes(GOOD, token("alice", "2")) < 1.0
    assert running.answers(token("bob")) == {CUSTOM}
    running.manager.template("$userId:$apiContext:$apiVersion", "add", when=2_999)
    running.manager.template("app $appId:/a", "remove", when=2_001)
    assert running.becomes(GOOD, token("bob")) < 1.0
    assert running.answers(token("alice", "2")) == {GOOD}


def test_callers_are_blocked_by_api_user_application_and_address(shop):
    running = shop(blocks={"user": ["mallory"], "ip": [{"fixedIp": "192.0.2.9", "invert": False}], "custom": [1]})
    token = running.token
    running.becomes(BLOCKED, token("mallory"))
    cases = [
        ("API", "/shop"),
        ("USER", "alice"),
        ("APPLICATION", "admin:app-1"),
        ("IP", {"fixedIp": "127.0.0.1", "invert": False}),
        ("IP", {"fixedIp": "198.51.100.1", "invert": True}),
        ("IPRANGE", {"startingIp": "127.0.0.0", "endingIp": "127.0.0.9", "invert": False}),
    ]
    for number, (kind, value) in enumerate(cases):
        running.manager.block(kind, value, id=number)
        assert running.becomes(BLOCKED, token()) < 1.0, kind
        running.manager.block(kind, value, "false", id=number)
        assert running.becomes(GOOD, token()) < 1.0, kind
    running.manager.block("IP", {"fixedIp": "127.0.0.1", "invert": False}, id=50, tenantDomain="example.com")
    running.manager.block("USER", "mallory", "false")
    running.becomes(GOOD, token("mallory"))
    assert running.answers(token()) == {GOOD}  # a block of another tenant's APIs


def test_garbage_costs_one_line_and_nobody(shop):
    running = shop()
    garbage = [
        *(b"", b"{", b"[]", b"\xff\xfe", b"\0", b"x" * 70_000, b"[" * 100_000, b'{"throttleKey": 1}', jms_map()),
        jms_map(throttleKey="1:/shop:1.0.0", isThrottled="perhaps", expiryTimeStamp="soon"),
        jms_map(throttleKey="1:/shop:1.0.0", isThrottled=True, expiryTimeStamp=-1),
        jms_map(throttleKey="/shop:1.0.0_condition_0", isThrottled=True, evaluatedConditions="%%%", expiryTimeStamp=1),
        jms_map(throttleKey="x" * 60_000, isThrottled=True, expiryTimeStamp=1),
        jms_map(keyTemplateValue="$x", keyTemplateState=1),
        jms_map(blockingCondition="IP", conditionValue="no address", state="true"),
        jms_map(blockingCondition="PLANET", conditionValue="earth", state="true"),
        jms_map(blockingCondition="IPRANGE", conditionValue='{"startingIp": "::9", "endingIp": "::1"}', state="true"),
    ]
    for body in garbage:
        running.manager.broker.publish(body, topic="throttleData")
    running.manager.throttle("1:bob")
    running.becomes(APPLICATION, running.token("bob"))
    assert running.answers(running.token()) == {GOOD}
    assert running.gateway.output.count("a message at the topic `throttleData` cannot be read") == 1
    assert "failed" not in running.gateway.output


def header(name, pattern, *, invert=False):
    return {"header": {"invert": invert, "values": {name: pattern}}}


def test_the_first_condition_group_that_matches_decides(shop):
    running = shop(settings="enableHeaderConditions = true\nenableJwtClaimConditions = true\n")
    token, key = running.token(), "/shop/1.0.0/a:GET"
    beta, curl = ("X-Plan", "beta"), ("X-Tool", "curl/8")
    running.manager.throttle(f"{key}_condition_1", conditions=[header("X-Plan", "^beta$")])
    assert running.becomes(RESOURCE, token, beta) < 1.0
    assert running.answers(token) == {GOOD}
    assert running.answers(token, beta, path="/shop/b") == {GOOD}
    running.manager.throttle(f"{key}_condition_2", conditions=[header("X-Tool", "curl"), header("X-Any", "")])
    assert running.becomes(RESOURCE, token, curl) < 1.0
    # The rest, but for what the default's own list has.
    running.manager.throttle(f"{key}_default", conditions=[header("X-Plan", "^free$")])
    assert running.becomes(RESOURCE, token) < 1.0
    assert running.answers(token, ("X-Plan", "free")) == {GOOD}
    for name in ("condition_2", "default"):
        running.manager.release(f"{key}_{name}")
    assert running.becomes(GOOD, token, curl) < 1.0
    assert running.answers(token, beta) == {RESOURCE}
    running.manager.throttle("/shop:1.0.0_condition_3", conditions=[{"jwtclaims": {"values": {"plan": "trial"}}}])
    assert running.becomes((429, 900800), running.token(plan="trial")) < 1.0
    running.manager.throttle("/shop:1.0.0", seconds=60)  # a key without a group is none of these levels
    running.manager.throttle("/shop:1.0.0_condition_1", conditions="garbage")
    assert running.answers(token) == {GOOD}


def test_conditions_are_ignored_that_the_settings_do_not_want(shop):
    running = shop()
    running.manager.throttle("/shop:1.0.0_condition_1", conditions=[header("X-Plan", "beta")])
    address = {"ipspecific": {"specificIp": 2130706433, "invert": False}}
    running.manager.throttle("/shop/1.0.0/b:GET_condition_1", conditions=[address])
    assert running.becomes(RESOURCE, running.token(), path="/shop/b") < 1.0
    assert running.answers(running.token(), ("X-Plan", "beta")) == {GOOD}


def test_what_was_decided_outlives_workers_and_the_steward(shop):
    running = shop()
    running.manager.throttle("1:bob")
    running.becomes(APPLICATION, running.token("bob"))
    for pid in running.gateway.processes()[1:]:
        os.kill(pid, signal.SIGKILL)
    running.becomes(APPLICATION, running.token("bob"), seconds=20)


def test_what_was_decided_outlives_a_reload_and_the_new_version_is_told_more(shop, tmp_path):
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    running = shop(started={"environment": home, "arguments": ["--dev"]}, blocks={"user": ["mallory"]})
    running.manager.throttle("1:bob")
    running.becomes(APPLICATION, running.token("bob"))
    description = next(running.gateway.folder.rglob("api1.json"))
    description.write_text(description.read_text().replace('"/x"', '"/y"'))
    wait_until(lambda: "the new version serves" in running.gateway.output, "the change is served", seconds=20)
    assert running.answers(running.token("bob")) == {APPLICATION}
    assert running.answers(running.token("mallory")) == {BLOCKED}
    wait_until(lambda: running.gateway.output.count("broker is there") == 2, "the new steward hears it", seconds=20)
    running.manager.throttle("1:carol")
    running.becomes(APPLICATION, running.token("carol"))
    told = len(running.manager.events)
    assert running.answers(path="/open/y", count=3) == {GOOD}
    wait_until(lambda: len(running.manager.events) >= told + 3, "the new workers' requests are told")


def test_lists_are_asked_for_until_they_come(shop):
    running = shop(is_there=False, lists_status="500 Internal Server Error", blocks={"user": ["alice"]})
    wait_until(lambda: "key templates and blocks cannot be fetched" in running.gateway.output, "it is told")
    assert running.answers(running.token()) == {GOOD}
    running.manager.lists_status = "200 OK"
    running.becomes(BLOCKED, running.token(), seconds=15)
    assert running.manager.logins == {"Basic dG06czNjcmV0LW9mLXRt"}
    assert "s3cret" not in running.gateway.output
