"""Counts in a file: what matters comes back, and no content of a file does harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.runtime.throttling.counting import state_file
from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import KEYS, OFFSET, Table, digest, open_region
from microgate.runtime.throttling.counting.windows import FixedCounter, SlidingCounter, Window

if TYPE_CHECKING:
    from pathlib import Path

YEAR = 31_536_000


class World:
    """Workers' counters over one memory, at the real clock."""

    def __init__(self, workers: int = 2) -> None:
        self.region = open_region(workers, 1_000)
        tables = [Table(self.region, slot) for slot in range(workers)]
        for table in tables:
            table.claim()
        self.clock = LimitClock(tables[0])
        self.now = self.clock.monotonic()
        self.fixed = [FixedCounter(table, digest("f"), 10, Window(YEAR, self.clock)) for table in tables]
        self.sliding = [SlidingCounter(table, digest("s"), 10, Window(YEAR, self.clock)) for table in tables]
        self.bucket = [BucketCounter(table, digest("b"), 10, 1, YEAR) for table in tables]


def test_what_was_counted_comes_back(tmp_path):
    before = World(4)
    for count, counter in enumerate([*before.fixed, *before.sliding, *before.bucket]):
        for _ in range(count % 4):
            assert counter.take(before.now, 1) >= 0
    state_file.write(before.region, tmp_path / "counts")
    after = World(2)
    assert state_file.read(after.region, tmp_path / "counts") == 3
    counters = after.fixed[0], after.sliding[1], after.bucket[0]
    assert [counter.take(after.now, 1) for counter in counters] == [3, 3, 3]
    assert [file.name for file in tmp_path.iterdir()] == ["counts"]


def test_counts_of_windows_that_are_over_are_not_written(tmp_path):
    world = World()
    short = FixedCounter(Table(world.region, None), digest("short"), 5, Window(1, world.clock))
    short.take(world.now - 100, 1)
    state_file.write(world.region, tmp_path / "counts")
    assert state_file.read(World().region, tmp_path / "counts") == 0


def test_a_file_that_is_not_there_has_no_counts(tmp_path, caplog):
    assert state_file.read(World().region, tmp_path / "counts") == 0
    assert not caplog.records


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> bytes:
    world = World()
    world.fixed[0].take(world.now, 1)
    path: Path = tmp_path_factory.mktemp("good") / "counts"
    state_file.write(world.region, path)
    return path.read_bytes()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_left_aside(tmp_path, good, data):
    position = data.draw(st.integers(0, len(good) - 1))
    damaged = data.draw(
        st.sampled_from([good[:position], good[:position] + b"x" + good[position + 1 :], good + b"x", b"", b"\0" * 99])
    )
    path = tmp_path / "counts"
    path.write_bytes(damaged)
    world = World()
    keys = Table(world.region, None).cells[KEYS]
    if damaged != good:
        assert state_file.read(world.region, path) == 0
        assert Table(world.region, None).cells[KEYS] == keys


def test_a_folder_in_its_place_is_told_once(tmp_path, caplog):
    caplog.set_level("INFO")
    world = World()
    (tmp_path / "counts").mkdir()
    file = state_file.StateFile(world.region, str(tmp_path / "counts"))
    file.read()
    file.write()
    file.write()
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    (tmp_path / "counts").rmdir()
    file.write()
    assert "kept again" in caplog.records[-1].getMessage()


def test_counts_of_a_wall_clock_that_stood_later_bind_nobody_longer_than_a_window(tmp_path):
    """A device that booted with a wrong date, and has the right one now."""
    before, after = World(), World()
    Table(before.region, None).cells[OFFSET] += 400 * 86_400 * 1_000_000
    counters = []
    for world in (before, after):
        table = Table(world.region, 0)
        table.claim()
        window = Window(60, world.clock)
        counters.append((FixedCounter(table, digest("one"), 3, window), BucketCounter(table, digest("two"), 3, 1, 60)))
    for counter in counters[0]:
        assert counter.take(before.now, 3) == 0
    state_file.write(before.region, tmp_path / "counts")
    state_file.read(after.region, tmp_path / "counts")
    for counter in counters[1]:
        assert counter.take(after.now, 1) < 0
        assert counter.wait_s(after.now) <= 61
        assert counter.take(after.now + 61, 1) >= 0
