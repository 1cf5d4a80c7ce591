"""A thousand guesses at a password in a second, from as many addresses: the rest of the traffic does not feel them.

A long test, and a goal that is met only where processors are to spare: a thread that hashes competes with the loop. On a busy
machine a flood of guesses at a cheap hash is not felt while this one is.
"""

from __future__ import annotations

import base64
import statistics

import pytest

from harness.aside import PROBE_TIMEOUT_SECONDS, Aside, probe
from harness.descriptions import describe
from harness.guesses import guess
from harness.waiting import wait_until
from microgate.runtime.security.passwords import stored_forms as passwords

SECURED = describe(
    {"/a": {"get": {"security": [{"user": []}]}}},
    secured=True,
    components={"securitySchemes": {"user": {"type": "http", "scheme": "basic"}}},
)
OPEN = describe(["/open"], base="/free", title="free")
AUTHORIZATION = ("Authorization", f"Basic {base64.b64encode(b'ann:password').decode()}")
PER_SECOND = 1_000
PROBES = 150


def _request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]).encode()


@pytest.mark.long
def test_guesses_are_not_felt_by_others(gateway):
    settings = f"""
[listenerConfig]
trustedProxies = ["127.0.0.0/8"]
[b7a.users.ann]
password = "{passwords.make_stored("argon2id", b"password")}"
[basicAuthConfig]
failuresPerUser = 0
"""
    running, quiet = (gateway(SECURED, OPEN, settings=settings) for _ in range(2))
    known = _request("/a", ": ".join(AUTHORIZATION))
    for each in (running, quiet):
        with each.connect() as client:
            assert client.get("/a", AUTHORIZATION).status == 200
    # A gateway that nobody guesses at says what the machine does to everybody meanwhile.
    with (
        Aside(probe, running.http, _request("/free/open")) as open_probe,
        Aside(probe, running.http, known) as known_probe,
        Aside(probe, quiet.http, known) as quiet_probe,
        Aside(guess, running.http, PER_SECOND) as flood,
    ):
        wait_until(lambda: flood.ask()[0] > PER_SECOND, "the flood has begun", seconds=20)
        expected, *felt = _p99(quiet_probe, open_probe, known_probe)
        sent, statuses = flood.ask()
    assert sent > 2 * PER_SECOND
    assert set(statuses) == {401, 503}, statuses
    assert statuses[503] > statuses[401]
    assert max(felt) < 3 * expected + 0.05, (expected, felt)


def _p99(*probes: Aside) -> list[float]:
    """For each, of its next probes."""
    times: list[list[float | None]] = [[] for _ in probes]
    for each in probes:
        each.ask()

    def enough() -> bool:
        for found, each in zip(times, probes, strict=True):
            found.extend(each.ask())
        return all(len(found) >= PROBES for found in times)

    wait_until(enough, "the probes are answered", seconds=30)
    times = [[PROBE_TIMEOUT_SECONDS if one is None else one for one in found] for found in times]
    return [statistics.quantiles(found, n=100)[98] for found in times]
