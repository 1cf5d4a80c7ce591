"""Counts of windows against a plain model of them, with the workers' requests in any order."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.counting import Time, clock, tables
from microgate.runtime.throttling.counting.table import CELLS, digest
from microgate.runtime.throttling.counting.windows import FixedCounter, SlidingCounter, Window, count_bits

KEY = digest("somebody")
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.0, 0.1, 0.7, 3.0, 9.5, 60.0]), st.integers(1, 3)), max_size=60
)


def counters(form, workers, limit, window_s):
    """The counters of all workers for one key, each with a window of its own, as processes have them."""
    time = Time()
    _, found = tables(workers)
    return time, [form(table, KEY, limit, Window(window_s, clock(table, time))) for table in found]


@given(STEPS, st.integers(0, 7), st.sampled_from([1, 10, 60]))
def test_a_fixed_window_admits_what_a_plain_count_admits(steps, limit, window_s):
    time, workers = counters(FixedCounter, 4, limit, window_s)
    model: dict[int, int] = defaultdict(int)
    for worker, passes, cost in steps:
        time.pass_by(passes)
        number = time.number(window_s)
        left = workers[worker].take(time.monotonic, cost)
        if model[number] + cost <= limit:
            model[number] += cost
            assert left == limit - model[number]
        else:
            assert left < 0
    assert all(count <= limit for count in model.values())


@given(STEPS, st.integers(1, 7), st.sampled_from([10, 60]))
def test_a_sliding_window_admits_what_its_estimate_allows(steps, limit, window_s):
    time, workers = counters(SlidingCounter, 4, limit, window_s)
    model: dict[int, int] = defaultdict(int)
    for worker, passes, cost in steps:
        time.pass_by(passes)
        number = time.number(window_s)
        inside = time.wall - number * window_s
        estimate = model[number] + model[number - 1] * (1 - inside / window_s)
        admitted = workers[worker].take(time.monotonic, cost) >= 0
        if abs(estimate + cost - limit) > 1e-6:
            assert admitted == (estimate + cost <= limit)
        model[number] += cost * admitted


def test_what_is_given_back_may_be_taken_again():
    time, (one, other) = counters(FixedCounter, 2, 2, 60)
    assert [one.take(time.monotonic, 1), other.take(time.monotonic, 1), one.take(time.monotonic, 1)] == [1, 0, -1]
    other.give_back(1)
    assert one.take(time.monotonic, 1) == 0


def test_what_is_given_back_too_late_opens_no_room():
    time, (one, other) = counters(FixedCounter, 2, 2, 60)
    one.take(time.monotonic, 1)
    time.pass_by(60)
    other.take(time.monotonic, 1)
    one.give_back(1)
    assert one.left(time.monotonic) == 1


def test_a_worker_that_is_behind_follows_the_one_that_is_ahead():
    """Preempted between the clock and the count, a worker must not fill up a window that others have left."""
    time, (slow, fast) = counters(FixedCounter, 2, 1, 60)
    before = time.monotonic
    slow.take(before, 1)
    time.pass_by(60)
    assert fast.take(time.monotonic, 1) == 0
    assert slow.take(before, 1) < 0


@pytest.mark.parametrize("window_s", [1, 60, 3_600, 86_400, 31_536_000])
def test_a_count_never_runs_into_the_number_of_its_window(window_s):
    time, (counter,) = counters(FixedCounter, 1, 1 << 60, window_s)
    for _ in range(5):
        counter.add(time.monotonic, 1 << 60)
    assert counter.left(time.monotonic) == (1 << 60) - (1 << count_bits(window_s)) + 1
    assert counter.window.number == int(time.wall // window_s)


def test_bytes_pass_four_gibibytes():
    time, (one, other) = counters(FixedCounter, 2, 10 << 30, 3_600)
    one.add(time.monotonic, 5 << 30)
    assert other.add(time.monotonic, 4 << 30) == 1 << 30


def test_what_other_nodes_counted_counts():
    time, (one, other) = counters(FixedCounter, 2, 5, 60)
    one.take(time.monotonic, 1)
    cells = other._cells
    row = other.own - CELLS - 1
    cells[row + CELLS + 3] = one.window.base + 3
    assert [other.take(time.monotonic, 1), one.take(time.monotonic, 1)] == [0, -1]


@pytest.mark.parametrize("step", [-3600.0, -5.0, 5.0, 1800.0])
def test_a_step_of_the_wall_clock_opens_no_window(step):
    time, (one, other) = counters(FixedCounter, 2, 2, 3_600)
    time.pass_by(1_800 - time.wall % 3_600)
    assert one.take(time.monotonic, 2) == 0
    time.step(step)
    assert other.take(time.monotonic, 1) < 0
    time.pass_by(10)
    assert one.take(time.monotonic, 1) < 0


def test_the_wait_ends_when_there_is_more():
    time, (counter,) = counters(FixedCounter, 1, 1, 60)
    counter.take(time.monotonic, 1)
    wait_s = counter.wait_s(time.monotonic)
    time.pass_by(wait_s - 0.01)
    assert counter.take(time.monotonic, 1) < 0
    time.pass_by(0.02)
    assert counter.take(time.monotonic, 1) == 0


@given(st.integers(1, 9), st.lists(st.floats(0, 40), max_size=20))
def test_the_wait_of_a_sliding_window_ends_when_there_is_more(limit, pauses):
    time, (counter,) = counters(SlidingCounter, 1, limit, 60)
    for pause in pauses:
        time.pass_by(pause)
        if counter.take(time.monotonic, 1) < 0:
            time.pass_by(counter.wait_s(time.monotonic) + 0.001)
            assert counter.take(time.monotonic, 1) >= 0


@given(st.integers(2, 9), st.data())
def test_the_wait_of_a_request_that_costs_more_ends_when_there_is_as_much(limit, data):
    for form in (FixedCounter, SlidingCounter):
        time, (counter,) = counters(form, 1, limit, 60)
        cost = data.draw(st.integers(1, limit))
        for pause in data.draw(st.lists(st.floats(0, 40), max_size=8)):
            time.pass_by(pause)
            if counter.take(time.monotonic, cost) < 0:
                time.pass_by(counter.wait_s(time.monotonic, cost) + 0.001)
                assert counter.take(time.monotonic, cost) >= 0


def test_the_wait_of_what_costs_more_than_the_limit_is_told_too():
    time, (counter,) = counters(SlidingCounter, 1, 3, 60)
    assert counter.take(time.monotonic, 5) < 0
    assert 60 <= counter.wait_s(time.monotonic, 5) <= 120
