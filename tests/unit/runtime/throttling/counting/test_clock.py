"""The clock of limits follows the wall clock, and no step of it moves a window."""

from __future__ import annotations

import pytest

from harness.counting import Time, clock, tables


def test_it_begins_with_the_wall_clock_for_all_processes():
    time = Time()
    _, (one, other) = tables(2)
    first = clock(one, time)
    time.step(500)
    assert first.offset == clock(other, time).offset == pytest.approx(time.wall - 500 - time.monotonic)


@pytest.mark.parametrize(
    ("step", "seconds", "left"),
    [(1.0, 20, 0.0), (-1.0, 2, 0.0), (60.0, 20, 59.0), (-60.0, 20, -50.0), (7_200.0, 1, 0.0)],
)
def test_it_drifts_to_the_wall_clock_and_never_runs_backwards(step, seconds, left):
    time = Time()
    _, (table,) = tables(1)
    limits = clock(table, time)
    time.step(step)
    before = time.monotonic + limits.offset
    for _ in range(seconds):
        time.pass_by(1)
        limits.drift()
        now = time.monotonic + limits.offset
        assert now > before
        before = now
    assert time.wall - before == pytest.approx(left, abs=0.001)


def test_windows_keep_their_length_after_a_date_that_was_far_too_late():
    time = Time()
    _, (table,) = tables(1)
    limits = clock(table, time)
    years = 10 * 31_536_000
    time.step(years)
    limits.drift()
    time.step(-years)
    begun = time.monotonic + limits.offset
    for _ in range(120):
        time.pass_by(1)
        limits.drift()
    assert time.monotonic + limits.offset - begun == pytest.approx(120, abs=0.001)
