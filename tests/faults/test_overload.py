"""R23: three times what a backend can do, and a backend that hangs. The figures are printed; `-s` shows them."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

import pytest

from harness.aside import Aside
from harness.descriptions import describe
from harness.pressure import CAPACITY, NO_ANSWER, PATIENCE_SECONDS, Asked, press, struggle
from microgate.runtime.throttling.overload.adaptive import FIRST_LIMIT

ADAPTIVE = "[overloadConfig]\nadaptive = true\n"
REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
OVER = 3.0
GOODPUT = 0.8
FAST_SECONDS = (
    0.1  # within which nearly all refusals come, or within three times what health takes on a machine that is busy
)
SETTLING_SECONDS = 2.0  # of a short run, which has to find its bound as a long one does once
NORMAL_SECONDS = 5.0
SHARE_OF_NORMAL = 0.5  # of the capacity


def _good(asked: list[Asked], since: float, until: float) -> float:
    """Answers of the backend a second."""
    return sum(one.status == 200 for one in asked if since <= one.due + one.seconds < until) / (until - since)


def _normal_after(asked: list[Asked]) -> float:
    """When the last request was due that was not answered well."""
    return max((one.due for one in asked if one.status != 200), default=0.0)


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def _fast(probes: list[Asked]) -> float:
    return max(FAST_SECONDS, 3 * _p99([one.seconds for one in probes]))


@pytest.mark.parametrize("seconds", [8, pytest.param(120, marks=[pytest.mark.long, pytest.mark.timeout(400)])])
def test_r23_three_times_the_capacity_leaves_the_goodput(gateway, seconds):
    with ExitStack() as running:
        backend = running.enter_context(Aside(struggle)).hear()
        served = gateway(describe(["/a"], backend=f"http://127.0.0.1:{backend}"), settings=ADAPTIVE)
        clients = running.enter_context(Aside(press, served.http, REQUEST))
        best = clients.ask((CAPACITY * 0.95, 4))
        peak = _good(best, 1, 4)
        probes = running.enter_context(Aside(press, served.http, REQUEST.replace(b"/a", b"/health")))
        probes.say((20, seconds))
        flood = clients.ask((CAPACITY * OVER, seconds), seconds=2 * seconds + 30)
        healthy = probes.hear(seconds=seconds + 30)
        after = clients.ask((CAPACITY * SHARE_OF_NORMAL, NORMAL_SECONDS + 2))
    goodput = _good(flood, SETTLING_SECONDS, seconds)
    refusals = [one.seconds for one in flood if one.status == 503]
    answers = [one.seconds for one in flood if one.status == 200]
    lost = sum(one.status == NO_ANSWER for one in flood)
    p50, p99, slowest = statistics.median(refusals), _p99(refusals), _p99(answers)
    print(
        f"\npeak {peak:.0f}/s, under {OVER:.0%} of capacity {goodput:.0f}/s ({goodput / peak:.0%}), "
        f"{len(refusals)} refused: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, answers p99 {slowest * 1e3:.0f} ms, "
        f"{lost} left, normal after {_normal_after(after):.1f} s"
    )
    assert {one.status for one in flood} <= {200, 503, NO_ANSWER}
    assert goodput >= GOODPUT * peak
    assert p99 < _fast(healthy)
    assert _normal_after(after) < NORMAL_SECONDS
    assert served.output.count("overloaded, requests are refused") < 2 + seconds / 10


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(200)])])
def test_r23_a_backend_that_hangs_takes_no_more_than_its_bound_and_is_used_again_at_once(gateway, seconds):
    """Clients leave after two seconds, so what waits is theirs; other operations and probes feel nothing of it."""
    with ExitStack() as running:
        backend = running.enter_context(Aside(struggle)).hear()
        served = gateway(describe(["/a", "/hang"], backend=f"http://127.0.0.1:{backend}"), settings=ADAPTIVE)
        hanging = running.enter_context(Aside(press, served.http, REQUEST.replace(b"/a", b"/hang")))
        others = running.enter_context(Aside(press, served.http, REQUEST))
        probes = running.enter_context(Aside(press, served.http, REQUEST.replace(b"/a", b"/health")))
        hanging.say((CAPACITY * OVER, seconds))
        others.say((CAPACITY / 4, seconds))
        probes.say((20, seconds))
        hung, well, healthy = (each.hear(seconds=2 * seconds + 30) for each in (hanging, others, probes))
        after = others.ask((CAPACITY * SHARE_OF_NORMAL, 2))
    refusals = [one.seconds for one in hung if one.status == 503]
    p99 = _p99(refusals)
    waited = sum(one.status == NO_ANSWER for one in hung)
    print(
        f"\nof {len(hung)} to a backend that hangs {waited} waited, {len(refusals)} were refused: p99 {p99 * 1e3:.1f} ms"
    )
    assert {one.status for one in hung} == {503, NO_ANSWER}
    assert waited <= FIRST_LIMIT * (seconds / PATIENCE_SECONDS + 1)
    assert p99 < _fast(healthy)
    assert {one.status for one in (*well, *healthy)} == {200}
    assert _normal_after(after) == 0.0
    assert served.output.count("overloaded, requests are refused") == 1
