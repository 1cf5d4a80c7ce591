"""Allotments and paces of bytes, at times that a test chooses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.plan.model import Bandwidth
from microgate.runtime.throttling.afterwards.bandwidth import BURST_SECONDS, Allotment, Pace
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import EPOCH, Table, digest, open_region
from microgate.runtime.throttling.counting.windows import Window

GIB = 1 << 30
DAY = 86_400
KEY = digest("alice")


def tables(count=2):
    region = open_region(count, 100)
    made = [Table(region, slot) for slot in range(count)]
    for table in made:
        table.claim()
    return made


def allotments(limit, window_s=DAY):
    made = tables()
    clock = LimitClock(made[0], monotonic=lambda: 0.0, wall=lambda: 0.0)
    return [Allotment(table, KEY, Bandwidth(limit, window_s), Window(window_s, clock)) for table in made]


@pytest.mark.parametrize("window_s", [10, 60, DAY, 31_536_000])
def test_bytes_are_counted_beyond_4_gib(window_s):
    first, second = allotments(12 * GIB, window_s)
    for _ in range(11):
        first.add(5, GIB)
    assert second.take(5, 1) >= 0
    second.add(5, GIB - 1)
    assert first.take(5, 1) >= 0
    second.add(5, 1)
    assert first.take(5, 1) < 0
    assert first.wait_s(5) == pytest.approx(window_s - 5)
    assert first.take(window_s, 1) >= 0


def test_more_bytes_than_a_cell_holds_do_not_run_into_the_next_window():
    first, _ = allotments(GIB, 1)
    for _ in range(64):
        first.add(0.5, GIB)
    assert first.take(0.6, 1) < 0
    assert first.take(1, 1) >= 0


def test_a_stream_that_outlives_its_row_and_its_column_goes_on_counting():
    first, second = allotments(100)
    first.add(0, 10)
    table = first._table
    table.cells[EPOCH] += 1
    first.add(0, 10)
    table.give_up()
    first.add(0, 79)
    assert second.take(0, 1) >= 0
    first.add(0, 1)
    assert second.take(0, 1) < 0


@given(amounts=st.lists(st.integers(1, 3_000), min_size=1, max_size=200), window_s=st.integers(1, 60))
def test_no_stretch_of_a_window_has_more_than_its_bytes_and_one_piece(amounts, window_s):
    limit = 10_000 * window_s
    paces = [Pace(table, KEY, Bandwidth(limit, window_s, slows=True), holds=True) for table in tables()]
    now, passed = 100.0, []
    for number, amount in enumerate(amounts):
        pace = paces[number % 2]
        now = max(now, pace.until(now))
        pace.add(now, amount)
        passed.append((now, amount))
    for begin, _ in passed:
        stretch = [amount for moment, amount in passed if begin <= moment < begin + window_s]
        assert sum(stretch[:-1]) <= limit


def test_a_pace_is_kept_up_by_who_comes_late_by_less_than_the_burst():
    pace = Pace(tables()[0], KEY, Bandwidth(100_000, 10, slows=True), holds=True)
    now, amount = 0.0, 0
    while now < 50:
        pace.add(now, 500)
        amount += 500
        now = max(now, pace.until(now) + 0.05)
    assert amount >= 0.95 * 50 * 10_000
    assert pace.wait_s(now + 10) == 0


def test_a_turn_that_is_too_far_off_is_refused():
    pace = Pace(tables()[0], KEY, Bandwidth(1_000, 1, slows=True), holds=True)
    pace.add(0, 9_000)
    assert pace.take(0, 1) >= 0
    pace.add(0, 9_000)
    assert pace.take(0, 1) < 0
    assert 9_000 / 1_000 < pace.wait_s(0) <= 18_000 / 1_000 * (1 + BURST_SECONDS)


def test_bytes_that_nobody_can_make_up_for_are_no_error():
    pace = Pace(tables()[0], KEY, Bandwidth(1, 315_360_000, slows=True), holds=True)
    for _ in range(3):
        pace.add(1e9, 1 << 40)
    assert pace.take(1e9, 1) < 0
