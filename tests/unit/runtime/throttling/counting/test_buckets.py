"""Bursts against a plain bucket of tokens."""

from __future__ import annotations

import asyncio
import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from harness.counting import Time, clock, tables
from microgate.plan.model import Plan
from microgate.runtime.observability.metrics import Metrics, region_size
from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.counting.keeper import Keeper
from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.counting.windows import FixedCounter, Window

KEY = digest("somebody")
STEPS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3_000), st.integers(1, 4)), max_size=60)


@given(STEPS, st.integers(1, 8), st.integers(1, 20), st.sampled_from([1, 60]))
def test_a_bucket_admits_what_its_tokens_allow(steps, size, count, window_s):
    time = Time()
    _, found = tables(2)
    workers = [BucketCounter(table, KEY, size, count, window_s) for table in found]
    tokens = Fraction(size)
    for worker, milliseconds, cost in steps:
        time.pass_by(milliseconds / 1_000)
        tokens = min(Fraction(size), tokens + Fraction(milliseconds * count, 1_000 * window_s))
        admitted = workers[worker].take(time.monotonic, cost) >= 0
        # The bucket counts whole microseconds, a plain one does not.
        if abs(tokens - cost) > Fraction(len(steps) * count, 500_000):
            assert admitted == (tokens >= cost)
        tokens -= cost * admitted


def test_what_is_given_back_may_be_taken_again():
    time = Time()
    _, (table,) = tables(1)
    bucket = BucketCounter(table, KEY, 2, 1, 3_600)
    assert [bucket.take(time.monotonic, 1) for _ in range(3)] == [1, 0, -1]
    bucket.give_back(1)
    assert bucket.take(time.monotonic, 1) == 0


def test_the_wait_ends_with_a_token():
    time = Time()
    _, (table,) = tables(1)
    bucket = BucketCounter(table, KEY, 2, 6, 60)
    bucket.take(time.monotonic, 2)
    assert 9.99 < bucket.wait_s(time.monotonic) <= 10
    time.pass_by(10)
    assert bucket.take(time.monotonic, 1) == 0


def test_a_bucket_that_takes_ages_to_fill_ends_at_the_end_of_time():
    time = Time()
    _, (table,) = tables(1)
    bucket = BucketCounter(table, KEY, 2**31 - 1, 1, 10 * 365 * 86_400)
    assert all(bucket.take(time.monotonic, 10_000) >= 0 for _ in range(10))
    assert bucket.wait_s(time.monotonic, 2**31 - 1) > 0


def test_what_is_made_up_for_at_last_is_the_buckets_own_though_its_row_went_to_another_key():
    time = Time()
    region, (table,) = tables(1)
    bucket = BucketCounter(table, KEY, 2, 1, 1)
    bucket.take(time.monotonic, 1)
    row = table.find(KEY, 0)
    time.pass_by(600)
    plan = Plan(project="", engine="", apis=(), upstreams=())
    limits = clock(table, time)
    keeper = Keeper(region, Metrics(bytearray(region_size(plan, 0)), plan, 0), limits)
    assert asyncio.run(keeper.sweep(0)) == 1
    names = (digest("another", str(number)) for number in itertools.count())
    other = next(name for name in names if _place(name, table) == _place(KEY, table))
    counter = FixedCounter(table, other, 5, Window(60, limits))
    assert counter.own - table.column == row
    bucket.adjust(time.monotonic - 600, time.monotonic, 9)
    assert counter.take(time.monotonic, 1) == 4
    assert BucketCounter(table, KEY, 2, 1, 1).take(time.monotonic, 1) < 0


def _place(name, table):
    return int.from_bytes(name[8:], "little", signed=True) % table.rows
