"""Logs are read in the order of their times, and nothing in them stops the reading or grows without a bound."""

from __future__ import annotations

import io
import json
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from microgate.runtime.observability import log_reading
from microgate.runtime.observability.log_reading import Reader


def line(second, path="/a", **fields):
    return json.dumps({"time": f"2026-01-05T00:00:{second:06.3f}Z", "method": "GET", "path": path, **fields}).encode()


def read(*logs):
    reader = Reader()
    found = [one for batch in reader.batches([io.BytesIO(log) for log in logs]) for one in batch]
    return reader, found


def test_lines_are_put_in_order_and_several_logs_are_one():
    reader, found = read(b"\n".join([line(5), line(3), line(9)]), line(4) + b"\r\n\n" + line(8.25))
    assert [one.at % 60 for one in found] == [3, 4, 5, 8.25, 9]
    assert (reader.count, reader.broken, reader.late) == (5, 0, 0)
    assert (reader.first % 60, reader.last % 60) == (3, 9)


def test_lines_that_are_too_far_behind_are_counted(monkeypatch):
    monkeypatch.setattr(log_reading, "MAX_DISPLACEMENT", 2)
    monkeypatch.setattr(log_reading, "CHUNK_BYTES", 100)
    reader, found = read(b"\n".join([*(line(second) for second in range(10, 40)), line(1), line(2)]))
    assert (len(found), reader.late) == (32, 2)


def test_what_is_no_line_of_ours_is_counted_and_passed_over():
    hostile = [
        b"\xff\xfe",
        b"GET /a 200",
        b"[]",
        b"null",
        b'{"time": 5, "method": "GET", "path": "/"}',
        b'{"method": "GET", "path": "/"}',
        line(1)[:-1],
        line(1, consumer=7),
        b"[" * 100_000,
        b'{"time": "2026-13-41T00:00:00.000Z", "method": "GET", "path": "/"}',
        b'{"time": "9999-12-31T23:59:59.999Z", "method": "GET", "path": "/"}',
        b'{"time": "0001-01-01T00:00:00", "method": "GET", "path": "/"}',
        b'{"time": "2026-01-05T00:00:01.+1 Z", "method": "GET", "path": "/"}',
        b"x" * 300_000,
    ]
    reader, found = read(b"\n".join([line(1), *hostile, line(2)]))
    assert [one.at % 60 for one in found] == [1, 2]
    assert (reader.count, reader.broken) == (len(hostile) + 2, len(hostile))


def test_a_log_without_an_end_of_line_takes_no_memory():
    class Endless:
        left = 400

        def read(self, size, /):
            self.left -= 1
            return b"x" * size if self.left else b""

    reader = Reader()
    tracemalloc.start()
    assert list(reader.batches([Endless()])) == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (reader.count, reader.broken) == (1, 1)
    assert most < 4_000_000  # of 100 MB


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data):
    reader, found = read(data)
    assert len(found) + reader.broken == reader.count


@given(st.lists(st.integers(0, 59), max_size=30), st.integers(1, 200))
def test_lines_are_found_whole_wherever_a_piece_ends(seconds, size):
    class Pieces(io.BytesIO):
        def read(self, _, /):
            return super().read(size)

    reader = Reader()
    log = Pieces(b"".join(line(second) + b"\n" for second in seconds))
    found = [one for batch in reader.batches([log]) for one in batch]
    assert [one.at % 60 for one in found] == sorted(seconds)
    assert reader.broken == 0
