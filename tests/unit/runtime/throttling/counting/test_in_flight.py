"""What is in flight over processes: a bound that is exact, places that come back, and dead processes that hold none."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.runtime.throttling.afterwards.dues import Dues
from microgate.runtime.throttling.counting.in_flight import (
    InFlight,
    InFlightCounter,
    is_idle,
    open_in_flight,
    owners_of,
)
from microgate.runtime.throttling.counting.table import EPOCH, digest

WORKERS = 2
LIMIT = 3
KEYS = (digest("alice"), digest("bob"))


class Processes:
    """Ids of processes that live, and die when a test says so."""

    def __init__(self):
        self._running = {}

    def begin(self):
        process = subprocess.Popen(["sleep", "300"])
        self._running[process.pid] = process
        return process.pid

    def kill(self, pid):
        process = self._running.pop(pid)
        process.kill()
        process.wait()

    def close(self):
        for pid in list(self._running):
            self.kill(pid)


@pytest.fixture(scope="module")
def processes():
    made = Processes()
    yield made
    made.close()


class Worker:
    def __init__(self, region, pid):
        self.pid = pid
        self.view = InFlight(region, pid)
        self.counters = [InFlightCounter(self.view, key, LIMIT) for key in KEYS]
        self.held = [0, 0]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "end", "die", "leave"]), st.integers(0, WORKERS - 1), st.integers(0, 1)
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_bound_is_exact_whatever_happens_to_the_processes(processes, steps):
    region = open_in_flight(WORKERS, 100)
    workers = [Worker(region, processes.begin()) for _ in range(WORKERS)]
    for now, (step, place, key) in zip(itertools.count(), steps, strict=False):
        worker = workers[place]
        if step == "take":
            before = sum(one.held[key] for one in workers)
            admitted = worker.counters[key].take(now, 7) >= 0
            assert admitted == (before < LIMIT)
            worker.held[key] += admitted
        elif step == "end" and worker.held[key]:
            worker.counters[key].give_back(7)
            worker.held[key] -= 1
        elif step == "die":
            processes.kill(worker.pid)
            workers[place] = Worker(region, processes.begin())
        elif step == "leave" and not any(worker.held):
            worker.view.leave()
            workers[place] = Worker(region, worker.pid)
    for worker in workers:
        processes.kill(worker.pid)


def test_a_process_that_dies_frees_its_share_before_it_has_a_successor(processes):
    region = open_in_flight(WORKERS, 100)
    dying, other = (Worker(region, processes.begin()) for _ in range(2))
    assert [dying.counters[0].take(0, 1) >= 0 for _ in range(LIMIT)] == [True] * LIMIT
    assert other.counters[0].take(1, 1) < 0
    processes.kill(dying.pid)
    assert [other.counters[0].take(2, 1) >= 0 for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]


def test_both_generations_of_a_reload_count_together(processes):
    region = open_in_flight(1, 100)
    before = Worker(region, processes.begin())
    after = Worker(region, processes.begin())
    assert before.counters[0].take(0, 1) >= 0
    assert before.counters[0].take(0, 1) >= 0
    assert [after.counters[0].take(0, 1) >= 0 for _ in range(2)] == [True, False]
    before.counters[0].give_back(1)
    assert after.counters[0].take(0, 1) >= 0


def test_who_finds_no_column_holds_what_it_has_against_what_it_sees(processes):
    region = open_in_flight(1, 100)
    first, second, third = (Worker(region, processes.begin()) for _ in range(3))
    assert first.counters[0].take(0, 1) >= 0
    assert second.counters[0].take(0, 1) >= 0
    assert [third.counters[0].take(0, 1) >= 0 for _ in range(2)] == [True, False]
    third.counters[0].give_back(1)
    assert third.counters[0].take(0, 1) >= 0


def test_a_place_is_given_back_no_more_often_than_it_was_taken(processes):
    region = open_in_flight(1, 100)
    worker = Worker(region, processes.begin())
    for _ in range(3):
        worker.counters[0].give_back(1)
    assert [worker.counters[0].take(0, 1) >= 0 for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]


def test_a_place_is_given_back_where_it_was_taken_though_the_key_has_found_room_meanwhile(processes):
    region = open_in_flight(1, 1)  # the row of the owners is one, so no key finds room
    worker = Worker(region, processes.begin())
    counter, table = worker.counters[0], worker.view.table
    dues = Dues(SimpleNamespace(status=200), 1, None)
    assert counter.take(0, 1) >= 0
    counter.join(dues, 0)
    table.capacity = 10
    table.cells[EPOCH] += 1  # as after a sweep
    assert counter.take(1, 1) >= 0
    dues.settle()
    # What is in flight is the second one alone.
    assert [counter.take(2, 1) >= 0 for _ in range(LIMIT)] == [True] * (LIMIT - 1) + [False]


def test_a_key_is_idle_once_nothing_of_it_is_in_flight(processes):
    region = open_in_flight(1, 100)
    worker = Worker(region, processes.begin())
    table = worker.view.table
    cells = table.counts(table.find(KEYS[0], 0))
    assert is_idle(cells.tolist(), owners_of(table))
    worker.counters[0].take(0, 1)
    assert not is_idle(cells.tolist(), owners_of(table))
    assert not is_idle(owners_of(table), owners_of(table))
    processes.kill(worker.pid)
    Worker(region, processes.begin())
    assert is_idle(cells.tolist(), owners_of(table))


def _hammer(region, watched, line, wanted):
    """Take places and give them back, and see to it that never more are held than may be; what was seen goes to the line."""
    view = InFlight(region)
    counter = InFlightCounter(view, KEYS[0], LIMIT)
    holders = watched.table.counts(watched.table.find(KEYS[1], 0))
    mine = 1 + os.getpid() % 10_000
    admitted = most = 0
    while admitted < wanted:
        if counter.take(time.monotonic(), 1) < 0:
            time.sleep(0)
            continue
        admitted += 1
        with watched.table.locked():
            place = holders.tolist().index(0)
            holders[place] = mine
            most = max(most, sum(1 for one in holders if one))
        with watched.table.locked():
            holders[place] = 0
        counter.give_back(1)
    os.write(line, b"%d %d\n" % (admitted, most))
    os._exit(0)


def test_four_processes_never_hold_more_than_the_bound_together():
    region, aside = open_in_flight(4, 100), open_in_flight(4, 100)
    watched = InFlight(aside)
    reading, writing = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                _hammer(region, watched, writing, 500)
            finally:
                os._exit(1)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    os.close(writing)
    with os.fdopen(reading) as lines:
        found = [tuple(map(int, line.split())) for line in lines]
    assert [admitted for admitted, _ in found] == [500] * 4
    assert max(most for _, most in found) <= LIMIT
    counter = InFlightCounter(InFlight(region), KEYS[0], LIMIT)
    assert [counter.take(1e9, 1) >= 0 for _ in range(LIMIT + 1)] == [True] * LIMIT + [False]
