"""Request ids and trace context: what a request is called, and what is believed of what it calls itself."""

import re
import time
import uuid

import msgspec
import pytest

from microgate.runtime.observability import identify
from microgate.settings.model import Forwarding, Settings

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def stage():
    return identify.link(Settings())


def test_a_request_id_is_a_uuid_of_version_7_with_the_time_in_it(stage, exchange_of):
    exchange = exchange_of()
    before = int(time.time() * 1000)
    assert stage(exchange) is None
    after = int(time.time() * 1000)
    found = uuid.UUID(exchange.request_id)
    assert str(found) == exchange.request_id
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert before <= found.int >> 80 <= after


def test_ids_never_repeat_and_sort_by_time(exchange_of, stage):
    exchanges = [exchange_of() for _ in range(1000)]
    for exchange in exchanges:
        stage(exchange)
    assert len({exchange.request_id for exchange in exchanges}) == 1000
    assert len({exchange.trace_id for exchange in exchanges}) == 1000
    assert len({exchange.span_id for exchange in exchanges}) == 1000
    stamps = [exchange.request_id[:13] for exchange in exchanges]
    assert stamps == sorted(stamps)


def test_a_new_trace_is_named_by_the_request_and_sampled(exchange_of, stage):
    exchange = exchange_of()
    stage(exchange)
    assert exchange.trace_id == exchange.request_id.replace("-", "")
    assert re.fullmatch("[0-9a-f]{16}", exchange.span_id)
    assert exchange.trace_flags == "01"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"00-{TRACE}-{SPAN}-03", "01"),  # bits without a meaning are not sent on
        (f"00-{TRACE}-{SPAN}-fe", "00"),
        (f"01-{TRACE}-{SPAN}-01", "01"),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
    ],
)
def test_a_valid_trace_is_continued_with_a_new_span(exchange_of, stage, given, flags):
    exchange = exchange_of(traceparent=given.encode())
    stage(exchange)
    assert (exchange.trace_id, exchange.trace_flags) == (TRACE, flags)
    assert re.fullmatch("(?!0{16})[0-9a-f]{16}", exchange.span_id)
    assert exchange.span_id != SPAN
    assert not exchange.dropped_names


@pytest.mark.parametrize(
    "given",
    [
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.",
        f"00-{TRACE}-{SPAN}-0",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01.more",
        f"0g-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        "\xff" * 55,
        "x",
    ],
)
def test_an_invalid_trace_is_left_together_with_its_state(exchange_of, stage, given):
    exchange = exchange_of(traceparent=given.encode("latin-1"), dropped_names=frozenset({b"te"}))
    stage(exchange)
    assert exchange.trace_id == exchange.request_id.replace("-", "")
    assert exchange.trace_flags == "01"
    assert exchange.dropped_names == {b"te", b"tracestate"}


@pytest.mark.parametrize(
    "given", ["a", "abc-123", "A" * 128, "01a20e7c-9d39-78db-adb9-7cee44d1685f", "u/1:2=3@x+y~z._"]
)
def test_a_trusted_proxys_request_id_is_kept(exchange_of, stage, given):
    exchange = exchange_of(request_id_in=given.encode(), trusted=True)
    stage(exchange)
    assert exchange.request_id == given


@pytest.mark.parametrize(
    "given", ["A" * 129, "a b", 'a"b', "a\\b", "a\nb", "a;b", "$(id)", "\xe4", "a,b", "{a}", "<a>"]
)
def test_a_malformed_request_id_is_replaced(exchange_of, stage, given):
    exchange = exchange_of(request_id_in=given.encode("latin-1"), trusted=True)
    stage(exchange)
    assert uuid.UUID(exchange.request_id).version == 7


def test_a_strangers_request_id_is_replaced(exchange_of, stage):
    exchange = exchange_of(request_id_in=b"abc-123", trusted=False)
    stage(exchange)
    assert uuid.UUID(exchange.request_id).version == 7


def test_without_a_header_for_it_no_request_id_is_taken(exchange_of):
    settings = msgspec.structs.replace(Settings(), forwarding=Forwarding(request_id_header=""))
    exchange = exchange_of(request_id_in=b"abc-123", trusted=True)
    identify.link(settings)(exchange)
    assert uuid.UUID(exchange.request_id).version == 7
