"""The access log's JSON form, read again: lines in the order of their times, in bounded memory whatever a file holds.

What is no such line is counted and passed over. The other direction is json_line.py; the command line gives the files.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 18
MAX_LINE_BYTES = 1 << 16  # longer than any that we write
# Lines are written when requests end, so they may stand after others that began later: by so many at most they are put right.
MAX_DISPLACEMENT = 20_000
TOLERANCE_SECONDS = 1.0  # disorder by less is not worth telling
_AHEAD_SECONDS = 86_400.0  # a time that has not come yet would end all windows before it


class Line(msgspec.Struct, gc=False):
    """What is asked of a line. `application` is None in logs of gateways that did not write it yet."""

    time: str
    method: str
    path: str
    client: str = ""
    reason: str = ""
    api: str = ""
    version: str = ""
    consumer: str = ""
    application: str | None = None
    application_tier: str = ""
    subscription_tier: str = ""
    user_agent: str = ""
    at: float = 0.0  # `time` in seconds since 1970


_when = attrgetter("at")


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Reader:
    """Reads logs; the counts are complete when `batches` has come to its end."""

    def __init__(self) -> None:
        self.count = 0  # lines that were not empty
        self.broken = 0
        self.late = 0  # lines that stood too far behind others to be put right
        self.first = self.last = 0.0  # when the first and the last request began, in seconds since 1970
        self._decoder = msgspec.json.Decoder(Line)
        self._second = ""
        self._second_at = 0.0
        self._latest = time.time() + _AHEAD_SECONDS

    def batches(self, streams: Iterable[Stream]) -> Iterator[list[Line]]:
        """The lines of all streams as one log, in the order of their times."""
        ordered = [self._ordered(stream) for stream in streams]
        batches = ordered[0] if len(ordered) == 1 else _merged(ordered)
        newest = float("-inf")
        for batch in batches:
            for line in batch:
                if line.at >= newest:
                    break
                self.late += line.at < newest - TOLERANCE_SECONDS
            newest = max(newest, batch[-1].at)
            self.first = min(self.first or batch[0].at, batch[0].at)
            self.last = newest
            yield batch

    def _ordered(self, stream: Stream) -> Iterator[list[Line]]:
        waiting: list[Line] = []
        for text in _whole_lines(stream):
            waiting += self._read(text)
            if len(waiting) > 2 * MAX_DISPLACEMENT:
                waiting.sort(key=_when)
                yield waiting[:-MAX_DISPLACEMENT]
                del waiting[:-MAX_DISPLACEMENT]
        if waiting:
            waiting.sort(key=_when)
            yield waiting

    def _read(self, text: bytes) -> list[Line]:
        try:
            lines = self._decoder.decode_lines(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            lines = self._read_singly(text.split(b"\n"))
        self.count += len(lines)
        second, second_at = self._second, self._second_at
        good = True
        for line in lines:
            moment = line.time
            if moment[:19] == second and len(moment) == 24 and moment[19] == "." and moment[20:23].isdecimal():
                line.at = second_at + int(moment[20:23]) / 1_000
            else:
                line.at = self._time(moment)
                good = good and line.at >= 0
                second, second_at = self._second, self._second_at
        if good:
            return lines
        timed = [line for line in lines if line.at >= 0]
        self.broken += len(lines) - len(timed)
        return timed

    def _read_singly(self, texts: list[bytes]) -> list[Line]:
        found = []
        for text in texts:
            try:
                if text.strip():
                    found.append(self._decoder.decode(text))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                self.count += 1
                self.broken += 1
        return found

    def _time(self, text: str) -> float:
        """Seconds since 1970 of a time of ISO 8601, below zero for what is none. Those of our form are remembered by second."""
        try:
            moment = datetime.fromisoformat(text)
            at = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return -1.0
        if at > self._latest:
            return -1.0
        if len(text) == 24 and text[19] == "." and text[23] == "Z":
            self._second, self._second_at = text[:19], at - moment.microsecond / 1_000_000
        return at


def _merged(ordered: list[Iterator[list[Line]]]) -> Iterator[list[Line]]:
    lines = merge(*map(chain.from_iterable, ordered), key=_when)
    while batch := list(islice(lines, MAX_DISPLACEMENT)):
        batch.sort(key=_when)
        yield batch


def _whole_lines(stream: Stream) -> Iterator[bytes]:
    """Some lines at a time; of one that is too long a piece, which is none that anybody understands."""
    rest = b""
    skips = False
    while chunk := stream.read(CHUNK_BYTES):
        if skips:
            _, found, chunk = chunk.partition(b"\n")
            if not found:
                continue
            skips = False
        head, found, tail = chunk.rpartition(b"\n")
        if found:
            yield rest + head
            rest = tail
        else:
            rest += tail
        if len(rest) > MAX_LINE_BYTES:
            yield b"{"
            rest, skips = b"", True
    if rest:
        yield rest
