"""Counters in shared memory: every slot counts for itself, the steward sums, a successor goes on."""

import mmap
import subprocess
import sys

import pytest

from microgate.plan import model
from microgate.runtime import faults
from microgate.runtime.observability.metrics import (
    BOUNDS_US,
    OTHER_STATUS,
    STATUS_SLOTS,
    UNROUTED,
    Metrics,
    Totals,
    region_size,
    rows,
)
from microgate.runtime.security import counting

WORKERS = 3


@pytest.fixture
def region(plan):
    return mmap.mmap(-1, region_size(plan, WORKERS))


@pytest.fixture
def totals(region, plan):
    return Totals(region, plan, WORKERS)


def test_rows_name_the_unrouted_the_operations_and_health(plan):
    named = [(row.index, row.method, row.route, row.operation_id) for row in rows(plan)]
    assert named == [
        (UNROUTED, "", "", ""),
        (1, "GET", "/pets/1/pet/{id}", "getPet"),
        (2, "POST", "/pets/1/pet", "addPet"),
        (3, "", "/health", "health"),
    ]


def test_nothing_counted_shows_no_rows(totals):
    assert list(totals.rows()) == []


def test_slots_are_summed(region, plan, totals):
    for slot in range(WORKERS):
        record = Metrics(region, plan, slot).recorder(1)
        record(200, 4_000, 3_000, 500, 10, 100)
        record(404, 20_000_000, -1, 20_000_000, 0, 7)
    [(position, row)] = totals.rows()
    assert position == 1
    assert row.count == 2 * WORKERS
    assert row.statuses[200].buckets[0] == WORKERS
    assert row.statuses[200].sum_us == 4_000 * WORKERS
    assert row.statuses[404].buckets[-1] == WORKERS
    assert row.upstream.count == WORKERS
    assert row.upstream.sum_us == 3_000 * WORKERS
    assert row.gateway_us == 20_000_500 * WORKERS
    assert (row.bytes_in, row.bytes_out) == (10 * WORKERS, 107 * WORKERS)


def test_a_bound_belongs_to_its_bucket(region, plan, totals):
    record = Metrics(region, plan, 0).recorder(0)
    for bound in BOUNDS_US:
        record(200, bound, -1, bound, 0, 0)
    [(_, row)] = totals.rows()
    assert row.statuses[200].buckets == [1] * len(BOUNDS_US) + [0]


def test_a_successor_goes_on_where_its_predecessor_died(region, plan, totals):
    for _ in range(2):
        metrics = Metrics(region, plan, 1)
        metrics.gauge("connections")(2)
        metrics.beginner()()
        metrics.beginner()()
        metrics.counter("access_log_lines")(5)
        metrics.recorder(2)(201, 1, 1, 1, 1, 1)
    assert totals.gauge("active_requests") == 1
    assert totals.gauge("connections") == 2
    assert totals.counter("access_log_lines") == 10
    [(_, row)] = totals.rows()
    assert list(row.statuses) == [201]
    assert row.count == 2


def test_made_up_statuses_share_the_last_slot(region, plan, totals):
    metrics = Metrics(region, plan, 0)
    record = metrics.recorder(1)
    for status in (0, *range(600, 900), 0):
        record(status, 1, -1, 1, 0, 0)
    [(_, row)] = totals.rows()
    assert len(row.statuses) == STATUS_SLOTS
    assert row.count == 302
    assert row.statuses[OTHER_STATUS].count == 302 - (STATUS_SLOTS - 1)


def test_faults_are_counted_by_kind(region, plan, totals):
    for slot in (0, 2):
        metrics = Metrics(region, plan, slot)
        metrics.recorder(1)(401, 1, -1, 1, 0, 0)
        for kind in faults.KINDS:
            metrics.fault_counter(1)(kind.label)
    [(_, row)] = totals.rows()
    assert row.faults == [2] * len(faults.KINDS)


def test_what_other_rooms_count_has_a_place(region, plan):
    for name in counting.NAMES:
        Metrics(region, plan, 0).counter(name)(1)


def test_who_serves_is_known_to_the_next_steward(region, plan, totals):
    assert totals.serving == 0
    assert totals.mark_serving(0, 4711)
    assert not totals.mark_serving(0, 4711)
    assert totals.mark_serving(0, 4712)
    assert Totals(region, plan, WORKERS).serving == 1


COUNTING = """
import mmap, sys
from microgate.plan import model
from microgate.runtime.observability.metrics import Metrics
with open(sys.argv[1], "r+b") as file:
    region = mmap.mmap(file.fileno(), 0)
record = Metrics(region, model.decode(bytes.fromhex(sys.argv[2])), int(sys.argv[3])).recorder(1)
for _ in range(20_000):
    record(200, 1_000, 500, 100, 1, 1)
"""


def test_processes_counting_at_once_lose_nothing(plan, tmp_path):
    path = tmp_path / "region"
    path.write_bytes(bytes(region_size(plan, WORKERS)))
    command = [sys.executable, "-c", COUNTING, str(path), model.encode(plan).hex()]
    processes = [subprocess.Popen([*command, str(slot)]) for slot in range(WORKERS)]
    assert [process.wait(30) for process in processes] == [0] * WORKERS
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as region:
        [(_, row)] = list(Totals(region, plan, WORKERS).rows())
        assert row.count == row.bytes_in == 20_000 * WORKERS
