"""Whatever bytes a client sends, a value in a log is printable ASCII on one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.runtime.observability.escaping import (
    MAX_VALUE_BYTES,
    Memo,
    json_string,
    json_text,
    plain,
    plain_text,
    plain_word,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", ""),
        (b"/pets/1", "/pets/1"),
        (b'a"b\\c', 'a"b\\c'),
        (b"a\tb\x00\x1b[31m\r\n", "a\tb\x00\x1b[31m\r\n"),
        ("/gr\u00fc\u00dfe/\U0001f600".encode(), "/gr\u00fc\u00dfe/\U0001f600"),
        ("\u2028\u2029\u0085".encode(), "\u2028\u2029\u0085"),
        (b"/a\xff\xfe/b", "/a\\xff\\xfe/b"),
    ],
)
def test_json_strings(value, shown):
    assert json.loads(json_string(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", "-"),
        (b"curl/8.1 (x)", "curl/8.1 (x)"),
        (b'a"b\\c', "a\\x22b\\x5cc"),
        (b"a\r\nb\x7f\x00", "a\\x0d\\x0ab\\x7f\\x00"),
        (b"\xc3\xbc\xff", "\\xc3\\xbc\\xff"),
    ],
)
def test_plain_values(value, shown):
    assert plain(value) == shown


def test_a_word_has_no_spaces():
    assert plain_word(b"a b") == "a\\x20b"
    assert plain_text("J\u00fcrgen M.") == "J\\xc3\\xbcrgen\\x20M."


def test_lone_surrogates_of_a_claim_do_not_break_anything():
    assert json.loads(json_text("a\ud800b")) == "a\\xed\\xa0\\x80b"
    assert plain_text("\udfff") == "\\xed\\xbf\\xbf"


@given(st.binary(max_size=64))
def test_any_bytes_become_one_printable_line(value):
    for shown in (json_string(value), plain(value), plain_word(value)):
        assert shown.isascii()
        assert shown.replace("\x7f", "").isprintable()
    assert isinstance(json.loads(json_string(value)), str)
    assert '"' not in plain(value)


@pytest.mark.parametrize("filler", [b"a", b"\xff", b'"', b"\x00"])
def test_long_values_are_cut(filler):
    value = filler * (MAX_VALUE_BYTES + 1)
    for shown in (json_string(value), plain(value)):
        assert len(shown) <= 6 * MAX_VALUE_BYTES + 5
        assert shown.rstrip('"').endswith("...")
    assert "..." not in plain(filler * MAX_VALUE_BYTES)


def test_the_memo_is_bounded_in_entries_and_in_length():
    memo = Memo(json_string)
    for number in range(5000):
        assert memo[str(number).encode()] == f'"{number}"'
        assert len(memo) <= 1024
    memo[b"x" * 300]
    assert b"x" * 300 not in memo
