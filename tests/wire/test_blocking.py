"""Blocks at a running gateway of two workers: the answer, who gets it, and a file that changes while requests come."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.process import GatewayProcess
from harness.waiting import holds_for, wait_until

API = describe({"/a": ["get"]}, base="/shop", title="shop", secured=True)
OPEN = describe({"/a": ["get"]}, base="/open", title="open")
WORKERS = "[runtimeConfig]\nworkers = 2\n"
POLICIES = """\
resourcePolicies:
  - One: {count: 1, unitTime: 1, timeUnit: day}
subscriptionPolicies:
  - Gold: {count: 1, unitTime: 1, timeUnit: day}
  - Default: {count: 1, unitTime: 1, timeUnit: day}
blockingConditions:
  - user: mallory
  - application: ann:spam
"""


def of(user, application="", owner="ann"):
    claims = {"sub": user}
    if application:
        claims["application"] = {
            "id": f"{owner}-{application}",
            "name": application,
            "owner": owner,
            "tier": "Unlimited",
        }
    return bearer(**claims)


class File:
    def __init__(self, folder, gateway):
        self.path = folder / "blocked.jsonl"
        self.say()
        self._gateway = gateway

    def say(self, *blocks):
        following = self.path.with_suffix(".new")
        following.write_text("".join(f"{block if isinstance(block, str) else json.dumps(block)}\n" for block in blocks))
        following.replace(self.path)

    def start(self, *apis, settings=WORKERS, **more):
        text = f'{settings}[throttlingConfig]\nblockingFile = "{self.path}"\n'
        self.gateway = self._gateway(*(apis or (API,)), settings=text, **more)
        return self.gateway

    def statuses(self, *headers, path="/shop/a", count=12):
        """Of as many connections, so that every worker is among them."""
        found = set()
        for _ in range(count):
            with self.gateway.connect() as client:
                found.add(client.get(path, *headers).status)
        return found

    def becomes(self, status, *headers, path="/shop/a"):
        """Seconds until all workers answer so."""
        began = time.monotonic()
        wait_until(lambda: self.statuses(*headers, path=path) == {status}, f"{status} of all workers")
        return time.monotonic() - began


@pytest.fixture
def file(tmp_path, gateway):
    return File(tmp_path, gateway)


def test_blocks_of_the_project(gateway):
    served = gateway(API, settings=WORKERS, files={"policies.yaml": POLICIES})
    with served.connect() as client:
        for _ in range(3):  # and never 429: who is shut out is not counted
            for caller in (of("mallory"), of("mallory@carbon.super"), of("bob", "spam")):
                answer = client.get("/shop/a", caller)
                assert (answer.status, answer.json["fault"]) == (
                    403,
                    {
                        "code": 900805,
                        "message": "Message blocked",
                        "description": "You have been blocked from accesing the resource",
                    },
                )
        assert client.get("/shop/a", of("bob", "good")).status == 200
        assert client.get("/shop/a", of("carl", "spam", owner="carl")).status == 200
    reasons = wait_until(
        lambda: {line["reason"] for line in served.log_lines() if line["status"] == 403}, "refusals are logged"
    )
    assert reasons == {"throttle.blocked.user", "throttle.blocked.application"}


def test_a_changed_file_is_in_force_on_all_workers_within_a_second(file):
    file.start(API, OPEN)
    ann = of("ann")
    assert file.statuses(ann) == {200}
    file.say("# who sent spam", {"user": "ann"})
    assert file.becomes(403, ann) < 1.0
    assert file.statuses(of("bob")) == {200}
    file.say({"api": "/open"})
    assert file.becomes(403, path="/open/a") < 1.0
    assert file.statuses(ann) == {200}
    file.say({"address": ["127.0.0.0/8"]})
    assert file.becomes(403, ann) < 1.0
    file.say({"address": ["127.0.0.0-127.255.255.255", "::1"], "invert": True})
    assert file.becomes(200, ann) < 1.0
    file.say({"address": "10.0.0.0/8", "invert": True})
    assert file.becomes(403, path="/open/a") < 1.0
    file.say()
    assert file.becomes(200, ann) < 1.0


def test_a_bad_file_changes_nothing_and_is_told_once(file):
    gateway = file.start()
    file.say({"user": "ann"})
    file.becomes(403, of("ann"))
    file.say({"user": "bob"}, '{"user": "secret-name"')
    wait_until(lambda: "the last good list stays in force" in gateway.output, "it is told")
    holds_for(lambda: file.statuses(of("ann"), count=4) == {403}, "ann is shut out", seconds=0.6)
    assert file.statuses(of("bob")) == {200}
    assert gateway.output.count("line 2: it is no JSON object") == 1
    assert "secret-name" not in gateway.output
    file.say({"user": "bob"})
    file.becomes(403, of("bob"))
    assert file.statuses(of("ann")) == {200}


def test_blocks_survive_the_death_of_steward_and_workers(file):
    gateway = file.start()
    file.say({"user": "ann"})
    file.becomes(403, of("ann"))
    for pid in gateway.processes()[1:]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(gateway.processes()) == 4, "all are there again", seconds=10)
    assert file.statuses(of("ann")) == {403}
    file.say({"user": "bob"})
    wait_until(lambda: file.statuses(of("bob"), count=4) == {403}, "a new list is followed")


def test_forged_forwarded_headers_free_nobody(file):
    file.start(OPEN)
    file.say({"address": "127.0.0.1"})
    assert file.becomes(403, path="/open/a") < 1.0
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert file.statuses((name, "10.0.0.1"), path="/open/a", count=4) == {403}


def test_behind_a_trusted_proxy_the_client_is_meant(file):
    file.start(OPEN, settings=f'{WORKERS}[listenerConfig]\ntrustedProxies = ["127.0.0.1"]\n')
    file.say({"address": ["203.0.113.7", "2001:db8::/32"]})
    assert file.becomes(403, ("X-Forwarded-For", "203.0.113.7"), path="/open/a") < 1.0
    assert file.statuses(("X-Forwarded-For", "203.0.113.8, 203.0.113.7"), path="/open/a", count=4) == {403}
    assert file.statuses(("X-Forwarded-For", "2001:DB8::9"), path="/open/a", count=4) == {403}
    assert file.statuses(("X-Forwarded-For", "203.0.113.7, 203.0.113.8"), path="/open/a", count=4) == {200}


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "no such file or directory"), ('{"user": "ann"}\n{"usr": "bob"}\n', "line 2: it has a key beside")],
)
def test_a_file_that_cannot_be_used_refuses_the_start(tmp_path, backend, text, why):
    api = API.replace("@BACKEND@", backend.url)
    path = tmp_path / "blocked.jsonl"
    if text is not None:
        path.write_text(text)
    process = GatewayProcess(tmp_path, [api], settings=f'[throttlingConfig]\nblockingFile = "{path}"\n')
    ended = subprocess.run(process.command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert f"throttlingConfig.blockingFile: cannot use `{path}`: {why}" in ended.stderr
    assert "Traceback" not in ended.stderr
