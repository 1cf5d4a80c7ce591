"""What a store answers, read from the bytes as they come (RESP 2), with a bound on everything: a store is not trusted either.

Called by line.py. An error that the store tells is a value here, `StoreFault`; what is no answer at all raises `Garbage`.
"""

from __future__ import annotations

from typing import TypeAlias

MAX_REPLY_BYTES = 1 << 20
MAX_LINE_BYTES = 4_096
MAX_MEMBERS = 65_536
MAX_DEPTH = 6
_MAX_DIGITS = 20


class Garbage(Exception):  # noqa: N818 - what came, not what went wrong here
    """The bytes are no answer of a store."""


class StoreFault:
    """An error that the store tells: its code, such as `NOSCRIPT`, and the rest of the line."""

    __slots__ = ("code", "text")

    def __init__(self, line: bytes) -> None:
        code, _, text = line.partition(b" ")
        self.code = code.decode("ascii", "replace")
        self.text = text.decode("utf-8", "replace")


Reply: TypeAlias = "int | bytes | StoreFault | list[Reply] | None"


class Replies:
    """Bytes in, whole answers out."""

    def __init__(self) -> None:
        self._buffer = b""
        self._wanted = 0  # bytes below which it is not worth to look again

    def feed(self, data: bytes) -> list[Reply]:
        """The answers that are complete now; raises Garbage."""
        buffer = self._buffer + data if self._buffer else data
        found: list[Reply] = []
        position = 0
        if len(buffer) >= self._wanted:
            self._wanted = 0
            while position < len(buffer):
                reader = _Reader(buffer, position)
                try:
                    reply = reader.read(0)
                except _Incomplete:
                    # A long answer in many pieces is not read from its begin with each of them.
                    self._wanted = (
                        min(2 * (len(buffer) - position), MAX_REPLY_BYTES) if len(buffer) > MAX_LINE_BYTES else 0
                    )
                    break
                found.append(reply)
                position = reader.position
        self._buffer = buffer[position:]
        if len(self._buffer) > MAX_REPLY_BYTES:
            raise Garbage
        return found


class _Incomplete(Exception):  # noqa: N818 - no error: more is to come
    pass


class _Reader:
    """One answer, from a position on."""

    __slots__ = ("_buffer", "position")

    def __init__(self, buffer: bytes, position: int) -> None:
        self._buffer = buffer
        self.position = position

    def read(self, depth: int) -> Reply:
        kind, line = self._line()
        if kind == b":":
            return _number(line)
        if kind == b"$":
            return self._bulk(_number(line))
        if kind == b"*":
            return self._members(_number(line), depth)
        if kind == b"+":
            return line
        if kind == b"-":
            return StoreFault(line)
        raise Garbage

    def _line(self) -> tuple[bytes, bytes]:
        end = self._buffer.find(b"\r\n", self.position, self.position + MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) - self.position >= MAX_LINE_BYTES or self._buffer[self.position] not in b":$*+-":
                raise Garbage
            raise _Incomplete
        begin, self.position = self.position, end + 2
        return self._buffer[begin : begin + 1], self._buffer[begin + 1 : end]

    def _bulk(self, size: int) -> bytes | None:
        if size == -1:
            return None
        if not 0 <= size <= MAX_REPLY_BYTES:
            raise Garbage
        end = self.position + size
        if len(self._buffer) < end + 2:
            raise _Incomplete
        if self._buffer[end : end + 2] != b"\r\n":
            raise Garbage
        begin, self.position = self.position, end + 2
        return self._buffer[begin:end]

    def _members(self, count: int, depth: int) -> list[Reply] | None:
        if count == -1:
            return None
        if not 0 <= count <= MAX_MEMBERS or depth >= MAX_DEPTH:
            raise Garbage
        return [self.read(depth + 1) for _ in range(count) if self._has_more()]

    def _has_more(self) -> bool:
        if self.position >= len(self._buffer):
            raise _Incomplete
        return True


def _number(line: bytes) -> int:
    digits = line[1:] if line[:1] == b"-" else line
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise Garbage
    return int(line)


def pack(*words: bytes) -> bytes:
    """A command as the store reads it."""
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
