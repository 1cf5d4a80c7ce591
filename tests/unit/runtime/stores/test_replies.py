"""What a store answers, read in pieces of any size; and what is no answer."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.runtime.stores.replies import MAX_REPLY_BYTES, Garbage, Replies, StoreFault, pack

WHOLE = [
    (b":17\r\n", 17),
    (b":-3\r\n", -3),
    (b"+OK\r\n", b"OK"),
    (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n:1\r\n*2\r\n$1\r\nx\r\n$-1\r\n:2\r\n", [1, [b"x", None], 2]),
]

STRANGE = [
    b"HTTP/1.1 200 OK\r\n",
    b":\r\n",
    b":1e9\r\n",
    b":\xd9\xa1\r\n",
    b":" + b"9" * 400 + b"\r\n",
    b":" + b"1" * 5_000,
    b"$-2\r\n",
    b"$99999999999\r\n",
    b"$1\r\nxyz\r\n",
    b"*99999999\r\n",
    b"*-7\r\n",
    b"*1\r\n" * 20,
    b"%1\r\n+a\r\n+b\r\n",
    b"\x00",
]


@pytest.mark.parametrize(("data", "value"), WHOLE)
@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_an_answer_is_read_in_pieces_of_any_size(data, value, size):
    replies = Replies()
    found = []
    for position in range(0, 3 * len(data), size):
        found += replies.feed((3 * data)[position : position + size])
    assert found == [value] * 3


def test_errors_are_told_by_their_code():
    (fault,) = Replies().feed(b"-MOVED 3999 127.0.0.1:6381\r\n")
    assert isinstance(fault, StoreFault)
    assert (fault.code, fault.text) == ("MOVED", "3999 127.0.0.1:6381")


@pytest.mark.parametrize("data", STRANGE)
def test_what_is_no_answer_is_garbage_at_once(data):
    with pytest.raises(Garbage):
        Replies().feed(data)


def test_an_answer_that_does_not_end_is_bounded():
    replies = Replies()
    replies.feed(b"*60000\r\n")
    piece = b"$60000\r\n" + b"x" * 60_000 + b"\r\n"
    for _ in range(MAX_REPLY_BYTES // len(piece)):
        replies.feed(piece)
    with pytest.raises(Garbage):
        replies.feed(piece)
    assert len(replies._buffer) <= MAX_REPLY_BYTES + 70_000


@given(st.binary(max_size=200))
def test_nothing_else_is_raised_whatever_comes(data):
    with contextlib.suppress(Garbage):
        Replies().feed(data)


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_a_command_is_packed_as_a_store_reads_it(words):
    assert Replies().feed(pack(*words)) == [words]
