"""Counts shared by processes that all count at once: never more than the limit is admitted, and nothing is lost."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import Table, digest, meta, open_region
from microgate.runtime.throttling.counting.windows import FixedCounter, SlidingCounter, Window

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = 4
KEY = digest("everybody")
ENOUGH_REFUSALS = 300
LONG_SECONDS = 365 * 86_400


def together(work: Callable[[int], int], processes: int = PROCESSES) -> list[int]:
    """What `work` answers in each of so many processes, which begin at the same moment."""
    ready, go = os.pipe()
    children = []
    for slot in range(processes):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(go)
                os.read(ready, 1)  # until the last writer has gone
                os.write(writer, b"%d" % work(slot))
            finally:
                os._exit(0)  # an answer that is missing is seen
        os.close(writer)
        children.append((child, reader))
    os.close(ready)
    os.close(go)
    found = []
    for child, reader in children:
        found.append(int(os.read(reader, 20)))
        os.close(reader)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return found


def admitted(counter, *, at: float | None = None) -> int:
    """How many one process gets through until it has been refused so often that nothing can be left."""
    count = refused = 0
    while refused < ENOUGH_REFUSALS:
        if counter.take(time.monotonic() if at is None else at, 1) >= 0:
            count += 1
        else:
            refused += 1
    return count


@pytest.mark.parametrize("form", [FixedCounter, SlidingCounter])
@pytest.mark.parametrize("limit", [1, 7, 20_000])
def test_r15_a_quota_is_exact_over_processes(form, limit):
    region = open_region(PROCESSES, 1_000)

    def work(slot: int) -> int:
        table = Table(region, slot)
        assert table.claim()
        return admitted(form(table, KEY, limit, Window(LONG_SECONDS, LimitClock(table))))

    assert sum(together(work)) == limit


def test_r15_a_burst_is_exact_over_processes():
    region = open_region(PROCESSES, 1_000)

    def work(slot: int) -> int:
        table = Table(region, slot)
        # All at one moment, in which the bucket gets nothing new.
        return admitted(BucketCounter(table, KEY, 5_000, 1, LONG_SECONDS), at=1_000.0)

    assert sum(together(work)) == 5_000


def test_processes_without_a_column_count_as_exactly():
    """Two that serve and two that drain: as while one generation follows another."""
    region = open_region(2, 1_000)

    def work(slot: int) -> int:
        table = Table(region, slot if slot < 2 else None)
        counter = FixedCounter(table, KEY, 9_000, Window(LONG_SECONDS, LimitClock(table)))
        if table.claim():
            counter = FixedCounter(table, KEY, 9_000, Window(LONG_SECONDS, LimitClock(table)))
            return admitted(counter)
        count = refused = 0
        while refused < ENOUGH_REFUSALS:
            with table.locked():
                left = counter.take(time.monotonic(), 1)
            count, refused = (count + 1, refused) if left >= 0 else (count, refused + 1)
        return count

    assert sum(together(work)) == 9_000


def test_no_window_admits_more_while_windows_pass():
    """Windows of a second at full speed: what each window admitted stands in its number."""
    region = open_region(PROCESSES, 1_000)
    limit, seconds = 50, 3

    def work(slot: int) -> int:
        table = Table(region, slot)
        table.claim()
        counter = FixedCounter(table, KEY, limit, Window(1, LimitClock(table)))
        until = time.monotonic() + seconds
        count = 0
        while (now := time.monotonic()) < until:
            count += counter.take(now, 1) >= 0
        return count

    found = sum(together(work))
    assert limit * (seconds - 1) <= found <= limit * (seconds + 1)


def test_keys_that_are_new_to_all_at_once_have_one_row():
    region = open_region(PROCESSES, 5_000)

    def work(slot: int) -> int:
        table = Table(region, slot)
        table.claim()
        window = Window(LONG_SECONDS, LimitClock(table))
        return sum(
            FixedCounter(table, digest(str(number)), 2, window).take(time.monotonic(), 1) >= 0
            for number in range(2_000)
        )

    assert sum(together(work)) <= 2 * 2_000
    table = Table(region, None)
    rows = {table.find(digest(str(number)), meta(LONG_SECONDS)) for number in range(2_000)}
    assert len(rows) == 2_000
    assert all(sum(word & 0xFFFF for word in table.counts(row)) == 2 for row in rows)
