"""`microgate simulate` on the log of a running gateway finds what that gateway did; on an edited project, what it would do."""

from __future__ import annotations

import gzip
import json
import subprocess

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.process import COMMAND

TITLE = "shop"
POLICIES = """\
resourcePolicies:
  - Many: {count: 9, unitTime: 1, timeUnit: day}
applicationPolicies:
  - Two: {count: 2, unitTime: 1, timeUnit: day, burst: 2}
subscriptionPolicies:
  - Gold: {count: 4, unitTime: 1, timeUnit: day}
  - Loose: {count: 1, unitTime: 1, timeUnit: day, stopOnQuota: false}
  - Default: {count: 3, unitTime: 1, timeUnit: day}
  - Unauthenticated: {count: 1, unitTime: 1, timeUnit: day}
customPolicies:
  - PerUser: {keyTemplate: "$userId", count: 2, unitTime: 1, timeUnit: day, shadow: true}
"""


def token(tier, application_tier="", application="1", user="alice"):
    claims = {
        "sub": user,
        "application": {"id": application, "name": f"app-{application}", "tier": application_tier, "owner": "admin"},
        "subscribedAPIs": [{"name": TITLE, "version": "1.0.0", "subscriptionTier": tier, "publisher": "admin"}],
    }
    return bearer(**claims)


def simulate(*words, stdin=b""):
    done = subprocess.run([COMMAND, "simulate", *words], input=stdin, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    return done


def findings(*words, stdin=b""):
    done = simulate(*words, "--format", "json", stdin=stdin)
    assert done.returncode == 0
    assert b"would refuse" not in done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def served(gateway):
    """A gateway that has limited some callers."""
    paths = {"/a": {"get": {"x-wso2-throttling-tier": "Many"}}, "/b/{id}": ["get"]}
    paths["/open"] = {"get": {"x-wso2-disable-security": True}}
    running = gateway(describe(paths, base="/shop", title=TITLE, secured=True), files={"policies.yaml": POLICIES})
    calls = [
        *[("/shop/a", token("Gold"))] * 3,
        *[("/shop/b/1", token("Gold", user="bob"))] * 3,
        *[("/shop/b/2", token("Loose", application="2"))] * 3,
        *[("/shop/a", token("Unlimited", "Two", application="3", user="carol"))] * 4,
        *[("/shop/a", bearer(sub="dave", aud="https://shop.example"))] * 5,
        *[("/shop/a", bearer(sub="erin", aud="https://shop.example"))],
        *[("/shop/open", None)] * 3,
        ("/shop/a", None),
        ("/shop/none", None),
        ("/shop/a", token("Platinum", application="4")),
    ]
    with running.connect() as client:
        for path, header in calls:
            client.get(path, *([header] if header else []))
    running.log_lines(len(calls))
    return running


def test_case_60_a_gateway_and_the_simulation_of_its_log_decide_alike(served):
    project = str(served.folder / "project")
    found = findings(project, str(served.access_log))
    counted = {
        (one["level"], one["policy"], verdict): one[verdict]
        for one in found["limits"]
        for verdict in ("admitted", "refused", "over", "shadow")
    }
    assert {key for key, count in counted.items() if count and key[2] != "admitted"} == {
        ("subscription", "Gold", "refused"),
        ("subscription", "Loose", "over"),
        ("subscription", "Default", "refused"),
        ("application", "Two", "refused"),
        ("unauthenticated", "Unauthenticated", "refused"),
        ("custom", "PerUser", "shadow"),
    }
    metrics = served.metrics()
    for (level, policy, verdict), count in counted.items():
        sample = f'microgate_limit_decisions_total{{level="{level}",policy="{policy}",verdict="{verdict}"}} {count}\n'
        assert sample in metrics
    assert (found["lines"], found["refusedBefore"], found["unrouted"]) == (25, 2, 0)
    assert found["undefinedTiers"] == {"subscription tier `Platinum`": 1}
    gold = next(one for one in found["limits"] if one["policy"] == "Gold")
    assert gold["mostOver"] == [{"who": "1", "count": 2}]
    assert served.log_lines()[0]["time"] <= gold["firstOver"][:19] + ".999Z"


def test_a_policy_is_tried_out_by_editing_the_project(served):
    project = served.folder / "project"
    (project / "policies.yaml").write_text(POLICIES.replace("Gold: {count: 4", "Gold: {count: 1"))
    gold = next(one for one in findings(str(project), str(served.access_log))["limits"] if one["policy"] == "Gold")
    assert (gold["admitted"], gold["refused"]) == (1, 5)


def test_logs_may_be_many_compressed_and_come_by_standard_input(served, tmp_path):
    project = str(served.folder / "project")
    lines = served.access_log.read_bytes().splitlines(keepends=True)
    packed = tmp_path / "one.gz"
    packed.write_bytes(gzip.compress(b"".join(lines[10:])))
    whole = findings(project, str(served.access_log))
    assert findings(project, str(packed), "-", stdin=b"".join(lines[:10])) == whole
    assert findings(project, "-", stdin=b"".join([b"nonsense\n", *lines, b"{}"]))["notUnderstood"] == 2


def test_what_cannot_be_read_is_told_in_one_line(served, tmp_path):
    project = str(served.folder / "project")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(served.access_log.read_bytes())[:-20])
    combined = tmp_path / "combined.log"
    combined.write_text('192.0.2.1 - alice [05/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "curl"\n' * 3)
    for words in ([str(cut)], [str(combined)], [str(tmp_path)], [str(tmp_path / "none")], ["/dev/null"], []):
        done = simulate(project, *words)
        assert done.returncode in {1, 2}
        assert done.stderr.count(b"error: ") == 1
        assert done.stdout == b""
