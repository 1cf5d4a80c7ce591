"""HTTP/1.1 towards clients: one connection, its requests in order, their answers framed.

A request that comes in one piece begins at once (`http1_heads.read_whole`); all other input goes through `http1_input.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, cast

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import peers
from microgate.runtime.protocols.deadlines import NEVER
from microgate.runtime.protocols.fields import status_line
from microgate.runtime.protocols.http1_heads import read_whole
from microgate.runtime.protocols.http1_input import RequestInput
from microgate.runtime.protocols.proxy_protocol import ProxyHeader

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.protocols.door import Door
    from microgate.runtime.protocols.known_heads import RequestFields

WRITE_HIGH_BYTES = 65_536
BIG_CHUNK_BYTES = 32_768  # larger pieces are written as they are, without being joined to others
LINGER_SECONDS = 2.0
LAST_REQUEST_SECONDS = 0.5  # after its last one, a connection may bring one more request to a gateway that stops
LINGER_BYTES = 1_048_576
SMALL_REST_BYTES = 65_536  # an unread rest of a body up to this size is read and dropped to keep the connection

IDLE, HEAD, BODY, ANSWER, LINGER, CLOSED = range(6)


class ServerConnection(asyncio.Protocol):
    """A client's connection. It offers `exchange.Downstream` to the exchange that is being answered."""

    __slots__ = (
        "_answered",
        "_at_boundary",
        "_beginning",
        "_body_paused",
        "_chunked",
        "_closing",
        "_current",
        "_door",
        "_dropped",
        "_input",
        "_introduced",
        "_out",
        "_phase",
        "_proxy_header",
        "_reading",
        "_requests",
        "_transport",
        "_until_close",
        "_waiting",
        "_write_paused",
        "deadline",
        "forwarded",
        "peer",
        "scheme",
        "trusted",
        "usual",
    )

    def __init__(self, door: Door, scheme: str) -> None:
        self._door = door
        self.scheme = scheme
        self.peer = ""
        self.trusted = False
        self.usual: RequestFields | None = None
        self.forwarded = b""
        self.deadline = NEVER
        self._input: RequestInput | None = None
        self._current: Exchange | None = None
        self._waiting: deque[tuple[Exchange, Fault | None]] | None = None
        self._out: list[bytes] = []
        self._phase = HEAD
        self._requests = 0
        self._dropped = 0
        self._at_boundary = True  # nothing of a request is held, none is being answered
        self._beginning = False  # `_next` is at work
        self._closing = False  # the answer being given is the last on this connection
        self._answered = False
        self._chunked = False
        self._until_close = False
        self._body_paused = False
        self._reading = True
        self._write_paused = False  # the client reads more slowly than it is answered
        self._proxy_header: ProxyHeader | None = None
        self._introduced: str | None = None

    def introduce(self, source: str) -> None:
        """A PROXY header was read before TLS began: the client it names, "" for none."""
        self._introduced = source

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses
        self._transport = transport
        transport.set_write_buffer_limits(WRITE_HIGH_BYTES)
        self._set_peer(peers.address(transport))
        if self._introduced:
            self._set_peer(self._introduced)
        elif self._introduced is None and self._door.proxy_protocol and self.trusted:
            self._proxy_header = ProxyHeader()
            self._at_boundary = False
        self.deadline = monotonic() + self._door.header_timeout
        self._door.watch.add(self)

    def _set_peer(self, peer: str) -> None:
        self.peer = peer
        self.trusted = self._door.trusted.believes(peer)
        self.forwarded = peers.forwarded_lines(peer, self.scheme)

    def data_received(self, data: bytes) -> None:
        door = self._door
        if self._at_boundary:
            exchange = read_whole(self, door, data)
            if exchange is not None:
                self._at_boundary = False
                self._requests += 1
                self._current = exchange
                self._phase = ANSWER
                self.deadline = NEVER
                self._closing = not door.keeps or self._requests >= door.max_requests
                door.accept(exchange)
                return
        if self._phase >= LINGER:
            self._drop(data)
            return
        if self._proxy_header is not None:
            data = self._read_proxy_header(self._proxy_header, data)
            if not data:
                return
        if self._input is None:
            self._input = RequestInput(self, self, door)
        if not self._input.deaf:
            self._at_boundary = False
            self._input.feed(data)
            self._after_input(self._input)

    def _after_input(self, given: RequestInput) -> None:
        if self._current is None:
            if self._waiting:
                self._next()
            elif given.partial and self._phase != HEAD:
                self._phase = HEAD
                self.deadline = monotonic() + self._door.header_timeout
            elif not given.partial and given.receiving is None:
                self._at_boundary = not given.deaf
        if self._waiting and self._reading:
            self._set_reading()
        if given.receiving is not None:
            if self._reading and self._phase < LINGER:
                self._phase = BODY
                self.deadline = monotonic() + self._door.body_timeout
        elif self._phase == BODY and self._current is not None:
            self._phase = ANSWER
            self.deadline = NEVER
        elif self._phase == BODY:
            self._rest()

    def eof_received(self) -> bool:
        """A closed sending side is an abort while an answer is owed, unless the setting allows half-closed clients."""
        given = self._input
        if not self._door.half_close or self._current is None or not self._current.request_complete:
            return False
        if self._waiting and given is not None:
            given.deaf = True  # the last one that waits closes
            return given.receiving is None
        self._closing = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = CLOSED
        self._door.watch.discard(self)
        self._at_boundary = False
        self._out.clear()
        if self._input is not None:
            self._input.close()
            self._input = None
        current, self._current = self._current, None
        if current is not None:
            current.on_client_abort()
        waiting, self._waiting = self._waiting, None
        for exchange, _ in waiting or ():
            self._door.refuse(exchange, Fault(faults.CLIENT_ABORT))

    def pause_writing(self) -> None:
        current = self._current
        self._write_paused = True
        self.deadline = monotonic() + self._door.body_timeout
        if current is not None and current.upstream is not None:
            current.upstream.pause_answer()

    def resume_writing(self) -> None:
        current = self._current
        self._write_paused = False
        if self._phase == ANSWER:
            self.deadline = NEVER
        elif self._phase == IDLE:
            self.deadline = monotonic() + self._door.idle_timeout
        if current is not None and current.upstream is not None:
            current.upstream.resume_answer()
        elif current is None and self._phase != CLOSED:
            self._next()
            self._set_reading()

    # http1_input.Sink

    def admit(self, exchange: Exchange, fault: Fault | None) -> bool:
        if self._waiting is None:
            self._waiting = deque()
        ahead = len(self._waiting) + (self._current is not None)
        if self._phase >= LINGER or ahead >= self._door.max_pipelined:
            return False  # the client may send again what got no answer; the connection closes after the others
        self._waiting.append((exchange, fault))
        return fault is None

    def fail_receiving(self, exchange: Exchange, fault: Fault) -> None:
        if exchange is self._current:
            self._closing = True
            exchange.fail(fault)
        elif self._waiting:
            self._waiting[-1] = (exchange, fault)
        else:
            self._close()  # it was answered before its body went wrong

    def is_last(self) -> bool:
        last = self._waiting[-1][0] if self._waiting else self._current
        return last is not None and not self._keeps(last)

    # Requests, in order.

    def _next(self) -> None:
        """Begin what waits, until one is not answered at once: a loop, because a pipeline may be long.

        A client that does not read its answers gets no more of them.
        """
        if self._beginning:
            return
        self._beginning = True
        try:
            while self._waiting and self._current is None and not self._write_paused:
                self._begin(*self._waiting.popleft())
        finally:
            self._beginning = False

    def _begin(self, exchange: Exchange, fault: Fault | None) -> None:
        given = self._input
        self._requests += 1
        self._current = exchange
        coming = given is not None and given.receiving is exchange
        self._phase = BODY if coming else ANSWER
        self.deadline = monotonic() + self._door.body_timeout if coming else NEVER
        deaf = given is not None and given.deaf and not self._waiting
        self._closing = deaf or not self._keeps(exchange)
        self._door.accept(exchange) if fault is None else self._door.refuse(exchange, fault)

    def _keeps(self, exchange: Exchange) -> bool:
        door = self._door
        return door.keeps and self._requests < door.max_requests and (door.always_keep or exchange.keep_alive)

    def _read_proxy_header(self, header: ProxyHeader, data: bytes) -> bytes:
        rest = header.feed(data)
        if rest is None:
            if header.failed:
                self._door.count_proxy_error(1)
                self._transport.abort()
            return b""
        self._proxy_header = None
        if header.source:
            self._set_peer(header.source)
        return rest

    def _drop(self, data: bytes) -> None:
        """Input after the last request: read so that the answer is not lost in a reset, and forgotten."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self._transport.abort()

    # exchange.Downstream

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
            exchange.upstream.pause_answer()  # an earlier answer still waits to be read

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
        if out and self._phase != CLOSED:
            self._transport.write(b"".join(out))
            out.clear()
        if self._answered:
            self._answered = False
            self._after_answer()

    def abort(self) -> None:
        """The answer cannot be completed: what is framed is cut short, what ends with the connection is reset."""
        self._current = None
        self._waiting = None
        self._at_boundary = False
        if self._phase == CLOSED:
            return
        self.flush()
        if self._until_close:
            peers.reset(self._transport)
        else:
            self._close()

    def client_behind(self, chain: list[bytes]) -> str:
        return self._door.trusted.client(self.peer, chain)

    def pause_body(self) -> None:
        self._body_paused = True
        self.deadline = NEVER
        self._set_reading()

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused = False
            if self._phase == BODY:
                self.deadline = monotonic() + self._door.body_timeout
            self._set_reading()

    def expect_continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # The end of an answer, and of the connection.

    def _after_answer(self) -> None:
        exchange, self._current = self._current, None
        if self._phase == CLOSED:
            return
        given = self._input
        if given is not None or self._closing:
            self._body_paused = False
            unread = exchange is not None and not exchange.request_complete
            if self._closing:
                waiting, self._waiting = self._waiting, None  # never begun: the client may send it again
                self._linger(unread=unread or bool(waiting))
                return
            if self._waiting:
                self._next()
                self._set_reading()
                return
            if unread:
                self._phase = BODY
                self._wait(LINGER_SECONDS)
                self._set_reading()
                return
        self._rest()

    def _rest(self) -> None:
        """Nothing is owed: wait for the next request."""
        given = self._input
        if given is not None or self._write_paused:
            self._set_reading()
        if given is not None and (given.partial or given.deaf):
            self._phase = HEAD
            self.deadline = monotonic() + self._door.header_timeout
            return
        self._phase = IDLE
        self._at_boundary = True
        self._wait(self._door.idle_timeout)

    def _wait(self, seconds: float) -> None:
        """For the client's next bytes; one that still has to read what it was sent is given the time for that."""
        self.deadline = monotonic() + (self._door.body_timeout if self._write_paused else seconds)

    def _linger(self, *, unread: bool) -> None:
        """Close; where the client is still sending, read on for a moment so that a reset does not destroy the answer."""
        if self._requests >= self._door.max_requests:
            self._door.count_used_up(1)
        if not unread and self._reading:
            self._close()
            return
        self._phase = LINGER
        self._wait(LINGER_SECONDS)
        if self._input is not None:
            self._input.receiving = None
        self._set_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        self._phase = LINGER
        self.deadline = monotonic() + self._door.body_timeout
        self._transport.close()

    def _set_reading(self) -> None:
        stuck = self._write_paused and self._phase not in (BODY, LINGER)
        wanted = not self._body_paused and not (stuck if self._current is None else self._waiting)
        if wanted != self._reading and self._phase != CLOSED:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
                if self._waiting:
                    self._door.count_pause(1)

    @property
    def is_busy(self) -> bool:
        """An answer is owed."""
        return self._current is not None or bool(self._waiting)

    def begin_drain(self) -> None:
        """The gateway stops: idle connections are closed, busy ones with their answer.

        One that was used just now waits for a moment: its next request may be on its way, and would meet a reset.
        """
        if self._current is None and self._at_boundary:
            patience = self._door.idle_timeout if self._phase == IDLE else self._door.header_timeout
            used_at = self.deadline - patience
            if used_at + LAST_REQUEST_SECONDS <= monotonic():
                self._close()
            else:
                self.deadline = used_at + LAST_REQUEST_SECONDS

    def close(self) -> None:
        self._transport.abort()

    def on_deadline(self) -> None:
        current, given = self._current, self._input
        if current is None and (self._write_paused or self._phase in (LINGER, BODY)):
            self._transport.abort()
        elif self._phase == HEAD and given is not None and given.partial and current is None:
            given.refuse_unfinished(Fault(faults.REQUEST_TIMEOUT))
            self._next()
        elif self._phase == BODY and current is not None and given is not None and given.receiving is current:
            given.receiving, given.deaf = None, True
            self._closing = True
            current.fail(Fault(faults.REQUEST_TIMEOUT, "http.body_timeout"))
        elif current is not None:
            current.on_client_abort("client.too_slow")
            self._transport.abort()
        else:
            self._door.count_idle_closed(1)
            self._close()

    def on_sweep(self) -> None:
        left = peers.is_reset if self._door.half_close else peers.is_gone
        if not self._reading and left(self._transport):
            self._transport.abort()
