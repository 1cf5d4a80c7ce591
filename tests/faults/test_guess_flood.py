"""A thousand guesses at a password in a second, from as many addresses: the rest of the traffic does not feel what they cost.

A flood costs the loop something whatever is guessed at, and more on a busy machine. So two gateways are flooded by turns, one
of them with a hash that costs nothing: guesses at a dear one must not be felt more than those.
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
PROBES = 100
ROUNDS = 3


def _request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *lines, "", ""]).encode()


def _settings(algorithm: str) -> str:
    return f"""
[listenerConfig]
trustedProxies = ["127.0.0.0/8"]
[b7a.users.ann]
password = "{passwords.make_stored(algorithm, b"password")}"
[basicAuthConfig]
failuresPerUser = 0
"""


@pytest.mark.long
def test_guesses_at_a_dear_hash_are_felt_no_more_than_at_a_cheap_one(gateway):
    cheap, dear = (gateway(SECURED, OPEN, settings=_settings(algorithm)) for algorithm in ("sha256", "argon2id"))
    for each in (cheap, dear):
        with each.connect() as client:
            assert client.get("/a", AUTHORIZATION).status == 200
    felt: dict[str, list[float]] = {"cheap": [], "dear": []}
    for _ in range(ROUNDS):
        statuses, p99 = _flooded(cheap.http)
        assert set(statuses) == {401}
        felt["cheap"].append(p99)
        statuses, p99 = _flooded(dear.http)
        assert set(statuses) <= {401, 503}, statuses
        assert statuses[503] > statuses.get(401, 0)
        felt["dear"].append(p99)
    print({name: [f"{1000 * one:.0f} ms" for one in times] for name, times in felt.items()})
    # The best of one against the worst of the other: what else the machine does comes and goes meanwhile.
    assert min(felt["dear"]) < 3 * max(felt["cheap"]) + 0.1, felt


def _flooded(port: int) -> tuple[dict[int, int], float]:
    """The statuses of guesses, and the 99th percentile of what others wait meanwhile: known callers and anonymous ones."""
    known = _request("/a", ": ".join(AUTHORIZATION))
    with (
        Aside(probe, port, _request("/free/open")) as open_probe,
        Aside(probe, port, known) as known_probe,
        Aside(guess, port, PER_SECOND) as flood,
    ):
        wait_until(lambda: flood.ask()[0] > PER_SECOND, "the flood has begun", seconds=60)
        felt = max(_p99(open_probe, known_probe))
        sent, statuses = flood.ask()
    assert sent > PER_SECOND
    return statuses, felt


def _p99(*probes: Aside) -> list[float]:
    """For each, of its next probes."""
    times: list[list[float | None]] = [[] for _ in probes]
    for each in probes:
        each.ask()

    def enough() -> bool:
        for found, each in zip(times, probes, strict=True):
            found.extend(each.ask())
        return all(len(found) >= PROBES for found in times)

    wait_until(enough, "the probes are answered", seconds=90)
    times = [[PROBE_TIMEOUT_SECONDS if one is None else one for one in found] for found in times]
    return [statistics.quantiles(found, n=100)[98] for found in times]
