"""The table of counts: keys find their row again, columns change hands, idle rows go, and a full table shares what it has."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.counting import Time, clock, tables
from microgate.plan.model import Plan
from microgate.runtime.observability.metrics import Metrics, region_size
from microgate.runtime.throttling.counting.keeper import Keeper
from microgate.runtime.throttling.counting.table import EPOCH, KEYS, SHARED_ROWS, Table, digest, meta
from microgate.runtime.throttling.counting.windows import FixedCounter, Window


@given(st.lists(st.lists(st.text(max_size=4), max_size=3), min_size=2, max_size=2, unique_by=tuple))
def test_other_parts_are_another_key(lists):
    one, other = lists
    assert digest(*one) != digest(*other)


def test_all_processes_find_the_same_row():
    _, found = tables(3)
    keys = [digest(str(number)) for number in range(500)]
    rows = [found[position % 3].find(key, meta(60)) for position, key in enumerate(keys)]
    assert len(set(rows)) == 500
    for table in found:
        assert [table.find(key, meta(60)) for key in keys] == rows
    assert found[0].cells[KEYS] == 500


def test_a_full_table_shares_rows_and_counts_it():
    _, (table,) = tables(1, capacity=100)
    rows = {table.find(digest(str(number)), meta(60)) for number in range(5_000)}
    assert 100 < len(rows) <= 100 + 256
    assert table.cells[SHARED_ROWS] >= 4_900
    assert table.find(digest("7"), meta(60)) in rows


def test_a_column_has_one_owner_at_a_time():
    region, (first,) = tables(1)
    parent = os.fork()
    if parent == 0:
        successor = Table(region, 0)
        os._exit(10 + successor.claim())
    assert os.waitstatus_to_exitcode(os.waitpid(parent, 0)[1]) == 10
    first.give_up()
    assert not first.exclusive
    parent = os.fork()
    if parent == 0:
        successor = Table(region, 0)
        os._exit(10 + successor.claim())
    assert os.waitstatus_to_exitcode(os.waitpid(parent, 0)[1]) == 11
    # The child that had it is dead, so a new one gets it.
    assert Table(region, 0).claim()


def test_who_has_no_column_loses_no_count():
    time = Time()
    region, (first,) = tables(1)
    drained = Table(region, 0)
    drained.give_up()
    key = digest("somebody")
    counters = [FixedCounter(table, key, 3, Window(60, clock(table, time))) for table in (first, drained)]
    found = []
    for position in range(4):
        with drained.locked():
            found.append(counters[position % 2].take(time.monotonic, 1))
    assert found == [2, 1, 0, -1]


def test_a_killed_process_does_not_keep_the_lock():
    region, (table,) = tables(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        Table(region, None).lock()
        os.write(writer, b".")
        signal.pause()
    os.read(reader, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with table.locked():
        pass
    os.close(reader)
    os.close(writer)


class Watched:
    """Words of a table, and how many were read."""

    def __init__(self, words):
        self._words = words
        self.reads = 0

    def __getitem__(self, position):
        self.reads += 1
        return self._words[position]

    def __setitem__(self, position, word):
        self._words[position] = word


def test_a_full_table_whose_keys_come_and_go_looks_for_new_ones_in_bounds():
    _, (table,) = tables(1, capacity=3_000)
    table.rows = 4_000  # as full as a table of a million keys gets
    names = (digest(str(number)) for number in itertools.count())
    words = table.cells = Watched(table.cells)
    chance = Random(1)
    rows: list[int] = []
    for _ in range(25):
        while table.cells[KEYS] < 3_000:
            words.reads = 0
            rows.append(table.find(next(names), meta(60)))
            assert words.reads < 1_200
        chance.shuffle(rows)
        for row in rows[:1_000]:
            table.free(row)
        del rows[:1_000]
    assert table.cells[SHARED_ROWS] < 60


class TestLettingGo:
    """Rows whose counts are over are freed, in two steps."""

    @pytest.fixture
    def world(self):
        time = Time()
        region, (table,) = tables(1, capacity=3_000)
        plan = Plan(project="", engine="", apis=(), upstreams=())
        keeper = Keeper(region, Metrics(bytearray(region_size(plan, 0)), plan, 0), clock(table, time))
        return time, table, keeper, Window(60, clock(table, time))

    def test_idle_keys_go_and_the_others_stay(self, world):
        time, table, keeper, window = world
        old = [FixedCounter(table, digest("old", str(n)), 5, window) for n in range(1_000)]
        for counter in old:
            counter.take(time.monotonic, 1)
        time.pass_by(180)
        new = [FixedCounter(table, digest("new", str(n)), 5, window) for n in range(1_000)]
        for counter in new:
            counter.take(time.monotonic, 1)
        epoch = table.cells[EPOCH]
        assert asyncio.run(keeper.sweep(0)) == 1_000
        assert table.cells[KEYS] == 1_000
        assert table.cells[EPOCH] != epoch
        assert all(counter.left(time.monotonic) == 4 for counter in new)
        # There is room again, and what was freed begins at nothing.
        for number in range(2_000):
            assert FixedCounter(table, digest("later", str(number)), 5, window).take(time.monotonic, 1) == 4
        assert table.cells[SHARED_ROWS] == 0

    def test_a_small_table_that_fills_up_is_swept_too(self, world, monkeypatch):
        monkeypatch.setattr("microgate.runtime.throttling.counting.keeper.SWEEP_SECONDS", 0.01)
        monkeypatch.setattr("microgate.runtime.throttling.counting.keeper.GRACE_SECONDS", 0.01)
        time, table, keeper, window = world
        for number in range(3_000):
            FixedCounter(table, digest(str(number)), 5, window).take(time.monotonic, 1)
        time.pass_by(180)

        async def keep() -> None:
            keeping = asyncio.get_running_loop().create_task(keeper.keep_room(None))
            async with asyncio.timeout(10):
                while table.cells[KEYS]:  # noqa: ASYNC110 - shared memory has no event
                    await asyncio.sleep(0.01)
            keeping.cancel()

        asyncio.run(keep())

    def test_a_key_that_is_asked_for_meanwhile_stays(self, world):
        time, table, keeper, window = world
        FixedCounter(table, digest("somebody"), 5, window).take(time.monotonic, 1)
        time.pass_by(600)

        async def sweep() -> int:
            epoch = table.cells[EPOCH]
            sweeping = asyncio.get_running_loop().create_task(keeper.sweep(0.05))
            while table.cells[EPOCH] == epoch:  # noqa: ASYNC110 - shared memory has no event
                await asyncio.sleep(0)
            assert FixedCounter(table, digest("somebody"), 5, window).take(time.monotonic, 1) == 4
            return await sweeping

        assert asyncio.run(sweep()) == 0
        assert FixedCounter(table, digest("somebody"), 5, window).take(time.monotonic, 1) == 3

    def test_searches_stay_short_after_many_came_and_went(self, world):
        time, table, keeper, window = world
        for turn in range(6):
            for number in range(2_900):
                FixedCounter(table, digest(str(turn), str(number)), 5, window).take(time.monotonic, 1)
            time.pass_by(600)
            assert asyncio.run(keeper.sweep(0)) == 2_900
        assert table.cells[KEYS] == 0


@pytest.mark.parametrize("keys", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_r15_keys_take_at_most_200_bytes_each_and_idle_ones_are_freed(keys):
    """A million keys of four workers, counted once each, within 200 MB of all processes together."""
    time = Time()
    region, (table, *_) = tables(4, capacity=keys)
    window = Window(60, clock(table, time))
    before = resident_bytes()
    for number in range(keys):
        FixedCounter(table, digest(str(number)), 5, window).take(time.monotonic, 1)
    taken = resident_bytes() - before
    print(f"{keys} keys: {taken / keys:.0f} bytes each")
    assert taken <= 200 * keys + 2_000_000  # what Python itself took meanwhile
    assert len(region.memory) <= 200 * keys + 2_000_000
    plan = Plan(project="", engine="", apis=(), upstreams=())
    keeper = Keeper(region, Metrics(bytearray(region_size(plan, 0)), plan, 0), clock(table, time))
    time.pass_by(180)
    assert asyncio.run(keeper.sweep(0)) == keys
    assert table.cells[KEYS] == 0


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_every_text_has_a_digest_of_its_own():
    assert len({digest(text) for text in ("\ud800", "\udc80", "\udfff", "?", "\x80")}) == 5
