"""R23: three times what a backend can do, and a backend that hangs. The figures are printed; `-s` shows them."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

import pytest

from harness.aside import Aside
from harness.descriptions import describe
from harness.pressure import CAPACITY, NO_ANSWER, Asked, press, struggle

ADAPTIVE = "[overloadConfig]\nadaptive = true\n"
REQUEST = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
OVER = 3.0
GOODPUT = 0.8
FAST_SECONDS = 0.1  # within which nearly all refusals come, from machines with other work to do too
NORMAL_SECONDS = 5.0
SHARE_OF_NORMAL = 0.5  # of the capacity


def _good(asked: list[Asked], since: float, until: float) -> float:
    """Answers of the backend a second."""
    return sum(one.status == 200 for one in asked if since <= one.due + one.seconds < until) / (until - since)


def _normal_after(asked: list[Asked]) -> float:
    """When the last request was due that was not answered well."""
    return max((one.due for one in asked if one.status != 200), default=0.0)


@pytest.mark.parametrize("seconds", [8, pytest.param(120, marks=pytest.mark.long)])
def test_r23_three_times_the_capacity_leaves_the_goodput(gateway, seconds):
    with ExitStack() as running:
        backend = running.enter_context(Aside(struggle)).hear()
        served = gateway(describe(["/a"], backend=f"http://127.0.0.1:{backend}"), settings=ADAPTIVE)
        clients = running.enter_context(Aside(press, served.http, REQUEST))
        best = clients.ask((CAPACITY * 0.95, 4))
        peak = _good(best, 1, 4)
        flood = clients.ask((CAPACITY * OVER, seconds), seconds=seconds + 30)
        after = clients.ask((CAPACITY * SHARE_OF_NORMAL, NORMAL_SECONDS + 2))
    goodput = _good(flood, 2, seconds)
    refusals = [one.seconds for one in flood if one.status == 503]
    answers = [one.seconds for one in flood if one.status == 200]
    lost = sum(one.status == NO_ANSWER for one in flood)
    p50, p99 = (statistics.quantiles(refusals, n=100)[rank] for rank in (49, 98))
    slowest = statistics.quantiles(answers, n=100)[98]
    print(
        f"\npeak {peak:.0f}/s, under {OVER:.0%} of capacity {goodput:.0f}/s ({goodput / peak:.0%}), "
        f"{len(refusals)} refused: p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, answers p99 {slowest * 1e3:.0f} ms, "
        f"{lost} left, normal after {_normal_after(after):.1f} s"
    )
    assert {one.status for one in flood} <= {200, 503, NO_ANSWER}
    assert goodput >= GOODPUT * peak
    assert p99 < FAST_SECONDS
    assert _normal_after(after) < NORMAL_SECONDS
    assert served.output.count("overloaded, requests are refused") < 2 + seconds / 10
