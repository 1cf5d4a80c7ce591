"""Limits at a running gateway: every level with its code, who is counted with whom, and what clients are told."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.waiting import wait_until

POLICIES = """\
resourcePolicies:
  - Three: {count: 3, unitTime: 1, timeUnit: day}
  - Many: {count: 1000, unitTime: 1, timeUnit: day}
applicationPolicies:
  - Two: {count: 2, unitTime: 1, timeUnit: day}
subscriptionPolicies:
  - Gold: {count: 4, unitTime: 1, timeUnit: day}
  - Loose: {count: 1, unitTime: 1, timeUnit: day, stopOnQuota: false}
  - Default: {count: 2, unitTime: 1, timeUnit: day}
  - Unauthenticated: {count: 1, unitTime: 1, timeUnit: day}
"""
FILES = {"policies.yaml": POLICIES}
TITLE = "shop"


def shop(**operation):
    return describe({"/a": {"get": operation}, "/b": ["get"]}, base="/shop", title=TITLE, secured=True)


def token(tier: str = "", application_tier: str = "", application: str = "1", user: str = "alice"):
    """A token of the control plane, which brings its subscriptions along."""
    claims = {
        "sub": user,
        "application": {"id": application, "name": f"app-{application}", "tier": application_tier, "owner": "admin"},
        "subscribedAPIs": [{"name": TITLE, "version": "1.0.0", "subscriptionTier": tier, "publisher": "admin"}],
    }
    return bearer(**claims)


def calls(gateway, path, *headers, count):
    with gateway.connect() as client:
        return [client.get(path, *headers) for _ in range(count)]


def statuses(gateway, path, *headers, count):
    return [answer.status for answer in calls(gateway, path, *headers, count=count)]


def fault(answer):
    body = answer.json["fault"]
    return answer.status, body["code"], body["message"], body["description"]


def quota(code):
    return 429, code, "Message throttled out", "You have exceeded your quota"


def test_an_operation_admits_exactly_its_count(gateway):
    running = gateway(shop(**{"x-wso2-throttling-tier": "Three"}), files=FILES)
    answers = calls(running, "/shop/a", token("Unlimited"), count=5)
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert fault(answers[3]) == quota(900802)
    assert statuses(running, "/shop/b", token("Unlimited"), count=1) == [200]


def test_a_tier_of_the_api_counts_all_its_operations_together(gateway):
    api = describe(["/a", "/b"], base="/shop", title=TITLE, secured=True, x_wso2_throttling_tier="Three")
    running = gateway(api, files=FILES)
    assert statuses(running, "/shop/a", token("Unlimited"), count=2) == [200, 200]
    assert statuses(running, "/shop/b", token("Unlimited"), count=1) == [200]
    (last,) = calls(running, "/shop/b", token("Unlimited"), count=1)
    assert fault(last) == quota(900800)


def test_a_subscription_is_counted_by_application_and_api(gateway):
    running = gateway(shop(), files=FILES)
    assert statuses(running, "/shop/a", token("Gold", user="alice"), count=3) == [200] * 3
    answers = calls(running, "/shop/b", token("Gold", user="bob"), count=2)
    assert answers[0].status == 200
    assert fault(answers[1]) == quota(900804)
    assert statuses(running, "/shop/a", token("Gold", application="2"), count=1) == [200]


def test_an_application_is_counted_by_its_users(gateway):
    running = gateway(shop(), files=FILES)
    answers = calls(running, "/shop/a", token("Unlimited", "Two"), count=3)
    assert fault(answers[2]) == quota(900803)
    assert statuses(running, "/shop/a", token("Unlimited", "Two", user="bob"), count=1) == [200]


def test_what_is_over_a_quota_that_does_not_stop_passes(gateway):
    running = gateway(shop(), files=FILES)
    answers = calls(running, "/shop/a", token("Loose"), count=3)
    assert [answer.status for answer in answers] == [200] * 3
    assert [answer.header("RateLimit").split(";t=")[0] for answer in answers] == ['"Loose";r=0'] * 3


def test_weakness_05_callers_without_a_subscription_do_not_share_one_count(gateway):
    running = gateway(shop(), files=FILES)
    assert statuses(running, "/shop/a", bearer(sub="alice"), count=3) == [200, 200, 429]
    assert statuses(running, "/shop/a", bearer(sub="bob"), count=3) == [200, 200, 429]


def test_the_old_shared_count_comes_back_by_a_switch(gateway):
    running = gateway(shop(), files=FILES, settings="[compatibility]\nsharedDefaultTier = true\n")
    assert statuses(running, "/shop/a", bearer(sub="alice"), count=2) == [200, 200]
    assert statuses(running, "/shop/a", bearer(sub="bob"), count=1) == [429]


def test_weakness_05_a_limit_of_one_admits_one_and_callers_who_say_nothing_are_limited(gateway):
    running = gateway(describe(["/a"], base="/open"), files=FILES)
    answers = calls(running, "/open/a", count=2)
    assert [answer.status for answer in answers] == [200, 429]
    assert fault(answers[1]) == quota(900804)


def test_callers_who_say_nothing_are_not_limited_where_the_old_way_is_asked_for(gateway):
    running = gateway(
        describe(["/a"], base="/open"), files=FILES, settings='[compatibility]\nunauthenticatedTier = "inert"\n'
    )
    assert statuses(running, "/open/a", count=3) == [200] * 3


def test_forged_forwarded_fields_are_no_way_around_a_limit(gateway):
    running = gateway(describe(["/a"], base="/open"), files=FILES)
    found = [statuses(running, "/open/a", ("X-Forwarded-For", f"192.0.2.{n}"), count=1)[0] for n in range(3)]
    assert found == [200, 429, 429]


def test_what_a_later_level_refuses_uses_nothing_up_at_an_earlier_one(gateway):
    running = gateway(shop(**{"x-wso2-throttling-tier": "Three"}), files=FILES)
    assert statuses(running, "/shop/a", token("Unlimited", "Two"), count=6) == [200, 200, 429, 429, 429, 429]
    assert statuses(running, "/shop/a", token("Unlimited", "Two", user="bob"), count=2) == [200, 429]


def test_a_tier_that_nobody_defines_is_refused_and_named_once(gateway):
    running = gateway(shop(), files=FILES)
    answers = calls(running, "/shop/a", token("Platinum"), count=2)
    internal = "Internal server error occured"
    assert fault(answers[0]) == (500, 900809, internal, "POLICY ENFORCEMENT ERROR")
    assert running.output.count("Platinum") == 1


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("standard", {"RateLimit", "RateLimit-Policy"}),
        ("legacy", {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}),
        ("none", set()),
    ],
)
def test_answers_tell_of_the_limit_that_is_nearest(gateway, form, names):
    running = gateway(
        shop(**{"x-wso2-throttling-tier": "Many"}),
        files=FILES,
        settings=f'[throttlingConfig]\nrateLimitHeaders = "{form}"\n',
    )
    answers = calls(running, "/shop/a", token("Gold"), count=5)
    for answer in answers:
        assert {name for name, _ in answer.headers if "ratelimit" in name.lower()} == names
    assert not answers[0].all("Retry-After")
    assert 1 <= int(answers[4].header("Retry-After")) <= 86_400
    if form == "standard":
        assert answers[1].header("RateLimit").startswith('"Gold";r=2;t=')
        assert answers[1].header("RateLimit-Policy") == '"Gold";q=4;w=86400'
        assert answers[4].header("RateLimit").startswith('"Gold";r=0;t=')
    elif form == "legacy":
        assert (answers[1].header("X-RateLimit-Limit"), answers[1].header("X-RateLimit-Remaining")) == ("4", "2")


GROUPS = """\
resourcePolicies:
  - Careful:
      count: 1
      unitTime: 1
      timeUnit: day
      conditions:
        - robots: {when: {header: {User-Agent: "[Bb]ot"}}, count: 2, unitTime: 1, timeUnit: day}
        - partners: {when: {claim: {partner: "^yes$"}, query: {v: "2"}}, count: 3, unitTime: 1, timeUnit: day}
"""


def test_the_first_condition_group_that_holds_decides(gateway):
    running = gateway(shop(**{"x-wso2-throttling-tier": "Careful"}), files={"policies.yaml": GROUPS})
    robot = ("User-Agent", "a Bot")
    assert statuses(running, "/shop/a", bearer(), robot, count=3) == [200, 200, 429]
    assert statuses(running, "/shop/a?v=2", bearer(partner="yes"), count=4) == [200, 200, 200, 429]
    assert statuses(running, "/shop/a", bearer(partner="yes"), count=2) == [200, 429]
    assert statuses(running, "/shop/a?v=2", bearer(), count=1) == [429]
    last = calls(running, "/shop/a", bearer(), robot, count=1)[0]
    assert last.header("RateLimit-Policy") == '"Careful.robots";q=2;w=86400'


CUSTOM = """\
customPolicies:
  - PerCustomer: {keyTemplate: "$userId:$header.X-Customer", count: 1, unitTime: 1, timeUnit: day}
"""


def test_a_custom_policy_counts_by_what_its_template_makes_of_a_request(gateway):
    running = gateway(shop(), files={"policies.yaml": CUSTOM})
    one, other = ("X-Customer", "1"), ("X-Customer", "2")
    answers = calls(running, "/shop/a", bearer(), one, count=2)
    assert answers[0].status == 200
    assert fault(answers[1]) == quota(900806)
    assert statuses(running, "/shop/b", bearer(), other, count=2) == [200, 429]
    assert statuses(running, "/shop/b", bearer(sub="bob"), one, count=2) == [200, 429]
    assert statuses(running, "/shop/b", bearer(), count=2) == [200, 200]


def test_a_cost_is_taken_of_the_quota(gateway):
    running = gateway(shop(**{"x-wso2-throttling-tier": "Three", "x-microgate-throttling-cost": 2}), files=FILES)
    assert statuses(running, "/shop/a", token("Unlimited"), count=2) == [200, 429]


def test_case_47_a_quota_is_exact_over_all_workers(gateway):
    """Five times the limit at once, over four workers and many connections."""
    policies = "subscriptionPolicies:\n  - Gold: {count: 200, unitTime: 1, timeUnit: day}\n"
    running = gateway(shop(), files={"policies.yaml": policies}, settings="[runtimeConfig]\nworkers = 4\n")
    header = token("Gold")
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: statuses(running, "/shop/a", header, count=50), range(20)))
    admitted = sum(status == 200 for one in found for status in one)
    assert {status for one in found for status in one} == {200, 429}
    assert admitted == 200


def test_pages_of_other_origins_may_read_what_is_told_of_limits_and_preflights_use_nothing_up(gateway):
    rules = {"x_wso2_cors": {"access-control-allow-origins": ["https://app.example"]}}
    rules["x_microgate_cors"] = {"expose-headers": ["X-Total", "ratelimit"]}
    api = describe(["/a"], base="/shop", title=TITLE, x_wso2_throttling_tier="Three", **rules)
    running = gateway(api, files=FILES, settings='[compatibility]\nunauthenticatedTier = "inert"\n')
    page = ("Origin", "https://app.example")
    with running.connect() as client:
        asked = ("Access-Control-Request-Method", "GET")
        assert [client.request("OPTIONS", "/shop/a", (page, asked)).status for _ in range(8)] == [200] * 8
    answers = calls(running, "/shop/a", page, count=4)
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    for answer in answers:
        assert answer.header("Access-Control-Expose-Headers") == "X-Total, ratelimit, RateLimit-Policy, Retry-After"


def test_case_60_soap_callers_read_a_refusal_as_a_soap_fault(gateway):
    running = gateway(describe({"/a": ["post"]}, base="/soap"), files=FILES)
    head = (("Content-Type", "text/xml"), ("SOAPAction", '""'))
    with running.connect() as client:
        assert client.request("POST", "/soap/a", head, b"<a/>").status == 200
        refused = client.request("POST", "/soap/a", head, b"<a/>")
    assert (refused.status, refused.header("Content-Type")) == (429, "text/xml; charset=utf-8")
    assert b"<code>900804</code>" in refused.body
    assert refused.header("RateLimit").startswith('"Unauthenticated";r=0;t=')
    assert 1 <= int(refused.header("Retry-After")) <= 86_400


def decisions(gateway, level):
    """What limits of a level decided: policy and verdict to how often."""
    pattern = rf'microgate_limit_decisions_total{{level="{level}",policy="(\w+)",verdict="(\w+)"}} ([1-9]\d*)'
    return {(policy, verdict): int(count) for policy, verdict, count in re.findall(pattern, gateway.metrics())}


def limits_logged(gateway, count):
    keys = ("limit_level", "limit_policy", "limit_verdict", "limit_remaining")
    return [tuple(line[key] for key in keys) for line in gateway.log_lines(count)]


def test_each_limit_tells_what_it_decided_in_metrics_and_log(gateway):
    running = gateway(shop(**{"x-wso2-throttling-tier": "Many"}), files=FILES)
    found = statuses(running, "/shop/a", token("Loose", "Two", application="7"), count=3)
    assert found == [200, 200, 429]
    lines = running.log_lines(3)
    assert [line["reason"] for line in lines] == ["", "", "throttle.application"]
    assert {(line["application"], line["application_tier"], line["subscription_tier"]) for line in lines} == {
        ("7", "Two", "Loose")
    }
    assert limits_logged(running, 3) == [
        ("subscription", "Loose", "admitted", 0),
        ("subscription", "Loose", "over", 0),
        ("application", "Two", "refused", 0),
    ]
    assert decisions(running, "resource") == {("Many", "admitted"): 3}
    assert decisions(running, "subscription") == {("Loose", "admitted"): 1, ("Loose", "over"): 2}
    assert decisions(running, "application") == {("Two", "admitted"): 2, ("Two", "refused"): 1}


def test_a_policy_in_shadow_refuses_nothing_and_tells_what_it_would_refuse(gateway):
    policies = "resourcePolicies:\n  - Try: {count: 1, unitTime: 1, timeUnit: day, burst: 1, shadow: true}\n"
    running = gateway(describe({"/a": {"get": {"x-wso2-throttling-tier": "Try"}}}), files={"policies.yaml": policies})
    assert statuses(running, "/a", count=5) == [200] * 5
    assert limits_logged(running, 5) == [("resource", "Try", "admitted", 0)] + [("resource", "Try", "shadow", 0)] * 4
    assert decisions(running, "resource") == {("Try", "admitted"): 1, ("Try", "shadow"): 4}
    assert running.output.count("resource policy `Try` would refuse requests") == 1


def test_a_limit_that_was_passed_over_gets_nothing_back_where_a_later_one_refuses(gateway):
    policies = POLICIES.replace("  - Many:", "  - Try: {count: 2, unitTime: 1, timeUnit: day, shadow: true}\n  - Many:")
    running = gateway(shop(**{"x-wso2-throttling-tier": "Try"}), files={"policies.yaml": policies})
    assert statuses(running, "/shop/a", token("Unlimited", "Two"), count=6) == [200, 200, 429, 429, 429, 429]
    assert statuses(running, "/shop/a", token("Unlimited"), count=1) == [200]
    assert limits_logged(running, 7)[-1] == ("resource", "Try", "shadow", 0)
    assert decisions(running, "resource") == {("Try", "admitted"): 2, ("Try", "shadow"): 5}


def test_templates_of_the_access_log_have_the_fields_of_limits(gateway):
    form = "{application} {application_tier} {subscription_tier} {limit_level} {limit_policy} {limit_verdict} {limit_remaining}"
    running = gateway(shop(), files=FILES, settings=f'[accessLogConfig]\nformat = "{form}"\n')
    assert statuses(running, "/shop/a", token("Gold", "Two"), count=3) == [200, 200, 429]
    assert statuses(running, "/shop/a", count=1) == [401]
    wait_until(lambda: running.access_log.read_text().count("\n") == 4, "all lines are written")
    assert running.access_log.read_text().splitlines() == [
        "1 Two Gold application Two admitted 1",
        "1 Two Gold application Two admitted 0",
        "1 Two Gold application Two refused 0",
        "- - - - - - -",
    ]


def test_what_is_left_is_told_exactly_where_several_workers_count(gateway):
    running = gateway(
        shop(**{"x-wso2-throttling-tier": "Many"}), files=FILES, settings="[runtimeConfig]\nworkers = 2\n"
    )
    told = []
    for _ in range(4):
        answers = calls(running, "/shop/a", token("Unlimited"), count=3)
        told += [answer.header("RateLimit").split(";t=")[0] for answer in answers]
    assert told == [f'"Many";r={left}' for left in range(999, 987, -1)]
