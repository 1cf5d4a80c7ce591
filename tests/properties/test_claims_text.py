"""Two readings of JSON in tokens: the quick one lets through only what the strict one reads as the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.minting import as_json, good_claims
from microgate.runtime.security.refusals import TokenError
from microgate.runtime.security.tokens.compact import read_closely, read_plain

BLANKS = st.sampled_from(["", "", "", " ", "  ", "\n", "\t"])
# Spelt in more than one way, so that members stand twice although their texts differ.
STRINGS = st.one_of(
    st.sampled_from(
        ['"a"', '"b"', '"ab"', '"a b"', '"\\u0061"', '""', '"\\""', '"a\\\\"', '"\\/"', '"/"', '":"', '"{"', '","']
    ),
    st.sampled_from(['"é"', '"\\u00e9"', '"a\tb"', '"\\t"', '" "', '"\x7f"', '"\\ud800"']),
    st.sampled_from(['"\\ud83d\\ude00"', '"\N{GRINNING FACE}"']),
)
NUMBERS = st.one_of(
    st.sampled_from(["0", "-0", "-0.0", "1", "1.0", "1.10", "0.1", "1e5", "1E5", "1e16", "1e400", "01", "1.", "+1"]),
    st.sampled_from(["9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809"]),
    st.sampled_from(["123456789.123456789123", "9" * 5_000]),
)
WORDS = st.sampled_from(["true", "false", "null", "NaN", "Infinity", "-Infinity", "True", ""])


def _list(values: list[str], blank: str) -> str:
    return "[" + blank + f"{blank},".join(values) + "]"


def _object(members: list[tuple[str, str]], blank: str) -> str:
    return "{" + f"{blank},{blank}".join(f"{name}{blank}:{blank}{value}" for name, value in members) + blank + "}"


TEXTS = st.recursive(
    st.one_of(STRINGS, NUMBERS, WORDS),
    lambda inner: st.one_of(
        st.builds(_list, st.lists(inner, max_size=3), BLANKS),
        st.builds(_object, st.lists(st.tuples(STRINGS, inner), max_size=4), BLANKS),
    ),
    max_leaves=12,
)
OBJECTS = st.builds(_object, st.lists(st.tuples(STRINGS, TEXTS), max_size=5), BLANKS)


def _agree(data: bytes) -> None:
    found = read_plain(data)
    if found is not None:
        # By their text, since 1 equals 1.0 and True, and 0.0 equals -0.0.
        assert repr(found) == repr(read_closely(data))


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(OBJECTS, TEXTS))
def test_no_text_is_read_in_two_ways(text: str) -> None:
    _agree(text.encode())


EDITS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3), st.binary(max_size=3)), max_size=4)


@settings(max_examples=250, deadline=None)
@given(edits=EDITS)
def test_no_edited_text_is_read_in_two_ways(edits: list[tuple[int, int, bytes]]) -> None:
    data = as_json(good_claims(scope="read write", application={"name": "shop", "id": 7}))
    for position, dropped, what in edits:
        at = position % len(data)
        data = data[:at] + what + data[at + dropped :]
    _agree(data)


@settings(max_examples=250, deadline=None)
@given(members=st.lists(st.tuples(st.text(max_size=4), st.integers(0, 3)), min_size=1, max_size=5), data=st.data())
def test_a_member_that_stands_twice_is_refused(members: list[tuple[str, int]], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(members))
    depth = data.draw(st.integers(0, 3))
    pairs = [f"{json.dumps(name, ensure_ascii=False)}:{value}" for name, value in [*members, again]]
    text = '{"x":' * depth + "{" + ",".join(pairs) + "}" + "}" * depth
    encoded = text.encode(errors="replace")
    assert read_plain(encoded) is None
    with pytest.raises(TokenError):
        read_closely(encoded)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["dense", "with blanks"])
def test_what_issuers_send_is_read_quickly(separators: tuple[str, str]) -> None:
    claims = good_claims(name="Ann Lee", scope="read write", application={"name": "shop", "tier": None, "x": [1, 2.5]})
    assert read_plain(json.dumps(claims, separators=separators, ensure_ascii=False).encode()) == claims
