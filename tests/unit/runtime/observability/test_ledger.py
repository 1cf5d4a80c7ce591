"""Sums over generations: they grow over a swap, name by name, and what is present is that of living processes alone."""

import mmap

import msgspec
import pytest

from microgate.plan.model import Allowance, Operation, Policy
from microgate.runtime.observability import ledger as module
from microgate.runtime.observability.ledger import Ledger
from microgate.runtime.observability.metrics import VERDICTS, Metrics, region_size

WORKERS = 2


class Generation:
    """One generation's region, counted in by its worker 0."""

    def __init__(self, ledger, plan):
        self.ledger = ledger
        self.region = mmap.mmap(-1, region_size(plan, WORKERS))
        self.metrics = Metrics(self.region, plan, 0)
        ledger.begin(plan, self.region, WORKERS)

    def serve(self, row, count=1, status=200):
        begin, record = self.metrics.beginner(), self.metrics.recorder(row)
        for _ in range(count):
            begin()
            record(status, 1_000, 500, 100, 1, 2)

    def end(self):
        del self.metrics
        self.ledger.end(self.region)
        self.region.close()  # fails where somebody still looks at it


def with_operations(plan, *names):
    api = msgspec.structs.replace(plan.apis[0], operations=tuple(Operation(name, "GET", f"/{name}") for name in names))
    return msgspec.structs.replace(plan, apis=(api,))


def counts(ledger):
    return {series.operation_id: row.count for series, row in ledger.rows() if row.count}


def test_an_operation_goes_on_under_its_name_wherever_its_row_is(plan):
    ledger = Ledger()
    first = Generation(ledger, with_operations(plan, "a", "b"))
    first.serve(1, 3)
    first.serve(2, 5)
    second = Generation(ledger, with_operations(plan, "new", "b", "a"))
    second.serve(1, 1)
    second.serve(2, 10)
    second.serve(3, 20)
    while_both_count = counts(ledger)
    first.end()
    assert counts(ledger) == while_both_count == {"a": 23, "b": 15, "new": 1}
    second.end()
    Generation(ledger, plan)
    assert counts(ledger) == while_both_count


def test_everything_that_a_row_has_is_carried_on(plan):
    ledger = Ledger()
    for status in (200, 200, 404):
        generation = Generation(ledger, plan)
        generation.serve(1, 2, status)
        generation.metrics.fault_counter(1)("route.method")
        generation.metrics.counter("connections_accepted")(4)
        generation.end()
    [(_, row)] = ledger.rows()
    assert {status: histogram.count for status, histogram in row.statuses.items()} == {200: 4, 404: 2}
    assert (row.bytes_in, row.bytes_out, row.gateway_us, row.upstream.sum_us) == (6, 12, 600, 3_000)
    assert sum(row.faults) == 3
    assert ledger.counter("connections_accepted") == 12


def test_what_is_present_is_summed_over_those_that_live(plan):
    ledger = Ledger()
    first, second = Generation(ledger, plan), Generation(ledger, plan)
    for generation, connections in ((first, 2), (second, 3)):
        generation.metrics.gauge("connections")(connections)
        generation.metrics.beginner()()
    assert (ledger.gauge("connections"), ledger.gauge("active_requests")) == (5, 2)
    first.end()
    assert (ledger.gauge("connections"), ledger.gauge("active_requests")) == (3, 1)
    second.metrics.forget_present()
    assert (ledger.gauge("connections"), ledger.gauge("active_requests")) == (0, 0)


def test_operations_that_vanished_are_bounded_and_those_that_stay_are_not_forgotten(plan, monkeypatch):
    monkeypatch.setattr(module, "MAX_VANISHED_ROWS", 3)
    ledger = Ledger()
    for number in range(20):
        generation = Generation(ledger, with_operations(plan, "kept", f"passing{number}"))
        generation.serve(1)
        generation.serve(2)
        generation.end()
    found = counts(ledger)
    assert found["kept"] == 20
    assert len(found) <= 6


@pytest.mark.parametrize("generations", [1, 5])
def test_a_page_shows_each_series_once(plan, generations):
    ledger = Ledger()
    for _ in range(generations):
        Generation(ledger, plan).serve(1)
    assert [series.operation_id for series, _ in ledger.rows()] == ["getPet"]


def test_what_limits_decide_goes_on_under_level_and_policy(plan):
    def with_policies(*names):
        return msgspec.structs.replace(plan, policies=tuple(Policy("resource", name, Allowance()) for name in names))

    def decide(generation, policy, verdict):
        cells, places = generation.metrics.decisions()
        cells[places["resource", policy] + VERDICTS.index(verdict)] += 1

    ledger = Ledger()
    first = Generation(ledger, with_policies("a", "b"))
    decide(first, "a", "admitted")
    decide(first, "b", "refused")
    second = Generation(ledger, with_policies("new", "b"))
    decide(second, "b", "refused")
    decide(second, "b", "shadow")
    second.serve(1)
    sums = ledger.decisions()
    assert sums == {("resource", "a"): [1, 0, 0, 0], ("resource", "b"): [0, 2, 0, 1]}
    first.end()
    assert ledger.decisions() == sums
    second.end()
    assert ledger.decisions() == sums
    assert counts(ledger) == {plan.apis[0].operations[0].id: 1}
