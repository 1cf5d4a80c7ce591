"""How answers are framed for a client of HTTP/1.1: lengths, chunks, the Connection field, and what ends with the connection.

The writing half of `http1_server.ServerConnection`, which says when and in what order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from microgate.runtime.exchange import HELD_BY_PEER
from microgate.runtime.protocols.fields import status_line

if TYPE_CHECKING:
    from asyncio import Transport

    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.protocols.door import Door

BIG_CHUNK_BYTES = 32_768  # larger pieces are written as they are, without being joined to others
SMALL_REST_BYTES = 65_536  # an unread rest of a body up to this size is read and dropped to keep the connection


class AnswerFraming(ABC):
    """Writes one answer after another to `_transport`, the methods of `exchange.Downstream` that send."""

    __slots__ = ("_answered", "_chunked", "_closing", "_door", "_out", "_transport", "_until_close", "_write_paused")

    def __init__(self, door: Door) -> None:
        self._door = door
        self._transport: Transport
        self._out: list[bytes] = []
        self._closing = False  # the answer being given is the last on this connection
        self._answered = False
        self._chunked = False
        self._until_close = False
        self._write_paused = False  # the client reads more slowly than it is answered

    @abstractmethod
    def _after_answer(self) -> None:
        """The answer is complete and was handed to the transport."""

    def send_whole(self, exchange: Exchange, start: bytes, lines: Lines, body: bytes) -> None:
        self._settle(exchange)
        out = [start or status_line(exchange.status, b""), *lines]
        if self._closing:
            out.append(b"Connection: close")
        elif exchange.version == 0:
            out.append(b"Connection: keep-alive")
        out += (b"", body)
        self._transport.write(b"\r\n".join(out))
        self._after_answer()

    def send_head(self, exchange: Exchange, start: bytes, lines: Lines, length: int | None) -> None:
        self._settle(exchange)
        self._chunked = False
        if length is None and exchange.method != "HEAD" and exchange.status not in (204, 304):
            if exchange.version >= 1:
                self._chunked = True
                lines.append(b"Transfer-Encoding: chunked")
            else:
                self._closing = self._until_close = True
        if self._closing:
            lines.append(b"Connection: close")
        elif exchange.version == 0:
            lines.append(b"Connection: keep-alive")
        self._out.append(b"\r\n".join((start, *lines, b"\r\n")))
        if self._write_paused and exchange.upstream is not None:
            exchange.hold_answer(HELD_BY_PEER)  # an earlier answer still waits to be read

    def _settle(self, exchange: Exchange) -> None:
        """Decide, before the head goes out, whether this answer is the last on the connection."""
        if not self._door.keeps:
            self._closing = True
        elif not exchange.request_complete and exchange.upstream is None:
            # Our own early answer: a small rest of the body is cheaper read than the connection closed.
            rest = exchange.length - exchange.bytes_in
            if exchange.expects_continue or not 0 <= rest <= SMALL_REST_BYTES:
                self._closing = True

    def send_informational(self, start: bytes, lines: Lines) -> None:
        self._out.append(b"\r\n".join((start, *lines, b"\r\n")))

    def send_body(self, chunk: bytes) -> None:
        out = self._out
        if self._chunked:
            out += (b"%x\r\n" % len(chunk), chunk, b"\r\n")
        else:
            out.append(chunk)
        if len(chunk) > BIG_CHUNK_BYTES:
            self._transport.writelines(out)
            self._out = []

    def send_end(self, trailers: Lines | None) -> None:
        if self._chunked:
            self._out.append(b"\r\n".join((b"0", *(trailers or ()), b"\r\n")))
        self._answered = True

    def flush(self) -> None:
        out = self._out
        if out:
            self._transport.write(b"".join(out))
            out.clear()
        if self._answered:
            self._answered = False
            self._after_answer()
