"""Bodies of JMS MapMessages, whole, cut short and made up."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.services.broker import jms_map
from microgate.runtime.messaging.maps import is_map, read_map

WHOLE = jms_map(eventType="API_UPDATE", timestamp=1_800_000_000_123)


def test_texts_and_numbers():
    assert is_map(WHOLE)
    assert read_map(WHOLE) == {"eventType": "API_UPDATE", "timestamp": 1_800_000_000_123}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (1, b"\1", True),
        (1, b"\0", False),
        (4, struct.pack(">h", -2), -2),
        (6, struct.pack(">i", 7), 7),
        (9, struct.pack(">d", 1.5), None),
        (3, struct.pack(">i", 2) + b"xy", None),
        (10, b"text\0", "text"),
        (11, b"", None),
    ],
)
def test_members_of_each_kind(kind, value, expected):
    body = struct.pack(">i", 2) + b"a\0" + bytes([kind]) + value + b"b\0\x0aend\0"
    assert read_map(body) == {"a": expected, "b": "end"}


@pytest.mark.parametrize("length", range(4, len(WHOLE)))
def test_one_that_is_cut_short_is_none(length):
    assert read_map(WHOLE[:length]) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_none(body):
    assert isinstance(read_map(b"\0\0\0" + body), dict | None)
