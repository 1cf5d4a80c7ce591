"""What the end of an exchange leaves: counts by operation, a line, and nothing in flight."""

import asyncio
import json
from time import monotonic
from types import SimpleNamespace

import pytest

from microgate.errors import SettingsError
from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.observability.accounting import Accounting
from microgate.runtime.observability.metrics import UNROUTED, Totals, region_size, rows
from microgate.settings.model import AccessLog, Settings


@pytest.fixture
def account(plan, channel_of):
    """Ends exchanges with an operation and returns their log lines and what was counted."""

    def run(*ended, row=1, form="json"):
        async def main():
            channel = channel_of()
            region = bytearray(region_size(plan, 1))
            services = SimpleNamespace(
                loop=asyncio.get_running_loop(), channel=channel, slot=0, workers=1, metrics=region
            )
            accounting = Accounting(plan, Settings(access_log=AccessLog(format=form)), services)
            hook = accounting.link(rows(plan)[row])
            totals = Totals(region, plan, 1)
            for _ in ended:
                accounting.begin()
            assert totals.gauge("active_requests") == len(ended)
            for exchange in ended:
                hook(exchange)
            await accounting.close()
            data = b"".join(message.data for message in channel.received())
            return data, totals

        return asyncio.run(main())

    return run


def test_three_latencies_add_up_to_the_head_of_the_answer(account, exchange_of):
    now = monotonic()
    exchange = exchange_of(started=now - 1.0, upstream_started=now - 0.9, answer_head_at=now - 0.4, status=200)
    data, totals = account(exchange)
    found = json.loads(data)
    assert found["gateway_ms"] == pytest.approx(100, abs=1)
    assert found["upstream_ms"] == pytest.approx(500, abs=1)
    assert 1_000 <= found["duration_ms"] < 5_000
    [(position, row)] = totals.rows()
    assert (position, row.count, row.upstream.count) == (1, 1, 1)
    assert totals.gauge("active_requests") == 0


def test_a_backend_that_never_answered_has_its_time_all_the_same(account, exchange_of):
    now = monotonic()
    fault = Fault(faults.BACKEND_TIMEOUT)
    exchange = exchange_of(started=now - 1.0, upstream_started=now - 0.9, status=504, fault=fault)
    data, totals = account(exchange)
    found = json.loads(data)
    assert found["upstream_ms"] == pytest.approx(900, abs=50)
    assert found["reason"] == "backend.timeout"
    [(_, row)] = totals.rows()
    assert dict(zip((kind.label for kind in faults.KINDS), row.faults, strict=True))["backend.timeout"] == 1


def test_case_60_every_end_leaves_one_line_and_one_count(account, exchange_of):
    """Accepted, refused, malformed, over a limit, failed and left: all are seen."""
    kinds = (None, *faults.KINDS)
    ended = [
        exchange_of(status=kind.status if kind else 200, fault=Fault(kind) if kind else None, request_id=f"id-{number}")
        for number, kind in enumerate(kinds)
    ]
    data, totals = account(*ended, row=UNROUTED)
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["request_id"] for line in lines] == [f"id-{number}" for number in range(len(kinds))]
    assert [line["reason"] for line in lines] == ["", *(kind.label for kind in faults.KINDS)]
    [(position, row)] = totals.rows()
    assert position == UNROUTED
    assert row.count == len(kinds)
    assert row.faults == [1] * len(faults.KINDS)
    assert totals.counter("access_log_lines") == len(kinds)


def test_without_an_access_log_the_metrics_remain(account, exchange_of):
    data, totals = account(exchange_of(status=200), form="off")
    assert data == b""
    assert [row.count for _, row in totals.rows()] == [1]


def test_a_format_that_there_is_not_stops_the_start(account):
    with pytest.raises(SettingsError, match="unknown field"):
        account(form="{nothing}")
