"""The metrics page reads as Prometheus and OpenMetrics define it, and names operations, never paths."""

import re
from itertools import pairwise

import pytest

from microgate.plan.model import Api, Operation, Plan
from microgate.runtime import faults
from microgate.runtime.observability.exposition import render
from microgate.runtime.observability.ledger import Ledger
from microgate.runtime.observability.metrics import Metrics, region_size

SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


@pytest.fixture
def page(plan):
    """The samples after `count` has counted in slot 0: name and labels to value."""

    def make(count, *, plan=plan, openmetrics=False):
        region = bytearray(region_size(plan, 2))
        count(Metrics(region, plan, 0))
        info = {"project": plan.project}
        ledger = Ledger()
        ledger.begin(plan, region, 2)
        text = render(ledger, 2, info, openmetrics=openmetrics).decode()
        return text, dict(samples(text))

    return make


def samples(text):
    for line in text.splitlines():
        if not line.startswith("#"):
            found = SAMPLE.fullmatch(line)
            assert found, line
            labels = frozenset(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
            yield (found[1], labels), float(found[3])


def labels(**pairs):
    return frozenset(pairs.items())


PET = {
    "http_request_method": "GET",
    "http_route": "/pets/1/pet/{id}",
    "api": "Pets",
    "api_version": "1.0",
    "operation_id": "getPet",
}


def test_durations_are_cumulative_histograms_by_operation_and_status(page):
    def count(metrics):
        record = metrics.recorder(1)
        record(200, 4_000, 3_000, 500, 10, 100)
        record(200, 30_000, 29_000, 250, 0, 100)
        record(504, 11_000_000, 10_999_000, 1_000, 0, 50)

    _, found = page(count)
    name = "http_server_request_duration_seconds"
    ok = labels(**PET, http_response_status_code="200")
    buckets = [
        found[f"{name}_bucket", labels(**PET, http_response_status_code="200", le=le)]
        for le in ("0.005", "0.01", "0.025", "0.05", "10.0", "+Inf")
    ]
    assert buckets == [1, 1, 1, 2, 2, 2]
    assert found[f"{name}_count", ok] == 2
    assert found[f"{name}_sum", ok] == pytest.approx(0.034)
    late = labels(**PET, http_response_status_code="504")
    assert found[f"{name}_bucket", late | labels(le="10.0")] == 0
    assert found[f"{name}_bucket", late | labels(le="+Inf")] == 1
    assert found["http_client_request_duration_seconds_count", labels(**PET)] == 3
    assert found["microgate_gateway_duration_seconds_sum", labels(**PET)] == pytest.approx(0.00175)
    assert found["http_server_request_body_size_bytes_sum", labels(**PET)] == 10
    assert found["http_server_response_body_size_bytes_sum", labels(**PET)] == 250
    assert found["http_server_response_body_size_bytes_count", labels(**PET)] == 3


def test_what_was_never_routed_has_no_route_and_asked_no_backend(page):
    def count(metrics):
        metrics.recorder(0)(400, 10, -1, 10, 0, 90)
        metrics.fault_counter(0)(faults.BAD_REQUEST.label)

    text, found = page(count)
    empty = dict.fromkeys(PET, "")
    assert found["microgate_faults_total", labels(**empty, kind="http.bad_request")] == 1
    assert "http_client_request_duration_seconds_count" not in text


def test_gauges_and_counters_are_there_from_the_start(page):
    def count(metrics):
        metrics.gauge("active_requests")(3)
        metrics.gauge("active_requests")(-1)
        metrics.gauge("connections")(7)
        metrics.counter("access_log_lines_dropped")(5)

    _, found = page(count)
    assert found["http_server_active_requests", labels()] == 2
    assert found["microgate_connections", labels()] == 7
    assert found["microgate_workers", labels()] == 2
    assert found["microgate_access_log_lines_dropped_total", labels()] == 5
    assert found["microgate_worker_starts_total", labels()] == 0
    assert found["microgate_artefact_info", labels(project="shop")] == 1


def test_every_family_is_described_once_and_its_samples_stand_together(page):
    def count(metrics):
        for row in (0, 1, 2):
            metrics.recorder(row)(200, 1, 1, 1, 1, 1)
            metrics.fault_counter(row)("internal")

    for openmetrics in (False, True):
        text, _ = page(count, openmetrics=openmetrics)
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        assert re.findall(r"^# HELP (\S+) ", text, re.MULTILINE) == list(kinds)
        suffixes = {"histogram": "_(bucket|sum|count)", "summary": "_(sum|count)", "gauge": ""}
        suffixes["counter"] = "_total" if openmetrics else ""
        at = re.compile("|".join(f"({name}{suffixes[kind]})" for name, kind in kinds.items()))
        for line in text.splitlines():
            if not line.startswith("#"):
                assert at.fullmatch(re.split("[{ ]", line)[0]), line
        assert not openmetrics or text.endswith("\n# EOF\n")
        families = [re.split("[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")]
        stems = [re.sub("_(bucket|sum|count)$", "", name) for name in families]
        changes = sum(1 for before, after in pairwise(stems) if before != after)
        assert changes == len(set(stems)) - 1


def test_labels_that_need_escaping(page):
    operation = Operation('get"\\\n', "GET", "/a")
    plan = Plan("p", "0", (Api("i", "Sch\u00f6n", "1", "/", "f", (operation,)),), ())
    text, _ = page(lambda metrics: metrics.recorder(1)(200, 1, -1, 1, 0, 0), plan=plan)
    assert 'http_route="/a",api="Sch\u00f6n",api_version="1",operation_id="get\\"\\\\\\n"' in text


def test_made_up_statuses_are_one_series(page):
    def count(metrics):
        record = metrics.recorder(1)
        for status in range(200, 900):
            record(status, 1, -1, 1, 0, 0)

    text, _ = page(count)
    codes = set(re.findall(r'http_response_status_code="([^"]*)"', text))
    assert len(codes) == 8
    assert "_OTHER" in codes


def test_case_60_series_are_bounded_by_operations(page):
    """Operations that nobody asked for have no series; a plan of any size starts with the same page."""
    operations = tuple(Operation(f"op{number}", "GET", f"/{number}/{{id}}") for number in range(2_000))
    big = Plan("p", "0", (Api("i", "Big", "1", "/", "f", operations),), ())
    text, _ = page(lambda metrics: metrics.recorder(1_000)(200, 1, -1, 1, 0, 0), plan=big)
    assert set(re.findall(r'operation_id="([^"]*)"', text)) == {"op999"}
