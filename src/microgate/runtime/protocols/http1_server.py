"""HTTP/1.1 towards clients: one connection, its requests in order, their answers framed.

A request that comes in one piece begins at once (`http1_heads.read_whole`); all other input goes through `http1_input.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, cast

from microgate.runtime import faults
from microgate.runtime.exchange import HELD_BY_PEER
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import peers, pieces
from microgate.runtime.protocols.deadlines import NEVER
from microgate.runtime.protocols.http1_framing import AnswerFraming
from microgate.runtime.protocols.http1_heads import read_whole
from microgate.runtime.protocols.http1_input import RequestInput
from microgate.runtime.protocols.pieces import LONG_BODY_BYTES, PieceReader
from microgate.runtime.protocols.proxy_protocol import ProxyHeader

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.protocols.door import Door
    from microgate.runtime.protocols.known_heads import RequestFields

LINGER_SECONDS = 2.0
LAST_REQUEST_SECONDS = 0.5  # after its last one, a connection may bring one more request to a gateway that stops
LINGER_BYTES = 1_048_576

IDLE, HEAD, BODY, ANSWER, LINGER, CLOSED = range(6)


class ServerConnection(AnswerFraming, asyncio.Protocol):
    """A client's connection. It offers `exchange.Downstream` to the exchange that is being answered."""

    __slots__ = (
        "_at_boundary",
        "_beginning",
        "_body_paused",
        "_certificate",
        "_current",
        "_dropped",
        "_input",
        "_introduced",
        "_phase",
        "_pieces",
        "_proxy_header",
        "_reading",
        "_requests",
        "_waiting",
        "deadline",
        "forwarded",
        "peer",
        "scheme",
        "trusted",
        "usual",
    )

    def __init__(self, door: Door, scheme: str) -> None:
        super().__init__(door)
        self.scheme = scheme
        self.peer = ""
        self.trusted = False
        self.usual: RequestFields | None = None
        self.forwarded = b""
        self.deadline = NEVER
        self._input: RequestInput | None = None
        self._current: Exchange | None = None
        self._waiting: deque[tuple[Exchange, Fault | None]] | None = None
        self._phase = HEAD
        self._pieces: PieceReader | None = None  # at work while a long body comes
        self._requests = 0
        self._dropped = 0
        self._at_boundary = True  # nothing of a request is held, none is being answered
        self._beginning = False  # `_next` is at work
        self._body_paused = False
        self._reading = True
        self._proxy_header: ProxyHeader | None = None
        self._introduced: str | None = None
        self._certificate: bytes | None = None  # None: not asked for yet

    def introduce(self, source: str) -> None:
        """A PROXY header was read before TLS began: the client it names, "" for none."""
        self._introduced = source

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses
        self._transport = transport
        transport.set_write_buffer_limits(1)  # whoever does not read is seen at once; 0 would pause TLS for good
        self._set_peer(peers.address(transport))
        if self._introduced:
            self._set_peer(self._introduced)
        elif self._introduced is None and self._door.proxy_protocol and self.trusted:
            self._proxy_header = ProxyHeader()
            self._at_boundary = False
        self.deadline = monotonic() + self._door.first_timeout
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
                if self._pieces is None and given.receiving.bytes_in > LONG_BODY_BYTES:
                    self._read_in_pieces(given.receiving)
        elif self._phase == BODY and self._current is not None:
            self._phase = ANSWER
            self.deadline = NEVER
        elif self._phase == BODY:
            self._rest()

        if self._pieces is not None and given.receiving is None and self._phase < LINGER:
            self._pieces.end(paused=not self._reading)
            self._pieces = None

    def _read_in_pieces(self, exchange: Exchange) -> None:
        def room() -> int:
            return exchange.upstream.room() if exchange.upstream is not None else 0

        dues = exchange.dues
        self._pieces = PieceReader(self, self._transport, room if dues is None else dues.room(room))
        self._pieces.begin(paused=False)

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
        self._pieces = None
        current, self._current = self._current, None
        if current is not None:
            current.on_client_abort()
        waiting, self._waiting = self._waiting, None
        self._forget(waiting, "client.abort")

    def pause_writing(self) -> None:
        current = self._current
        self._write_paused = True
        self.deadline = monotonic() + self._door.body_timeout
        if current is not None:
            current.hold_answer(HELD_BY_PEER)

    def resume_writing(self) -> None:
        current = self._current
        self._write_paused = False
        if self._phase == ANSWER:
            self.deadline = NEVER
        elif self._phase == IDLE:
            self.deadline = monotonic() + self._door.idle_timeout
        if current is not None:
            current.release_answer(HELD_BY_PEER)
        elif self._phase != CLOSED:
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

    def _forget(self, waiting: deque[tuple[Exchange, Fault | None]] | None, reason: str) -> None:
        """Requests that came and will not begin: each still has its line in the access log."""
        for exchange, _ in waiting or ():
            self._door.forget(exchange, reason)

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

    # exchange.Downstream; its writing half is in `AnswerFraming`.

    def abort(self) -> None:
        """The answer cannot be completed: what is framed is cut short, what ends with the connection is reset."""
        waiting, self._waiting = self._waiting, None
        self._current = None
        self._at_boundary = False
        self._forget(waiting, "client.behind_last")
        if self._phase == CLOSED:
            return
        self.flush()
        if self._until_close:
            peers.reset(self._transport)
        else:
            self._close()

    def client_behind(self, chain: list[bytes]) -> str:
        return self._door.trusted.client(self.peer, chain)

    def peer_certificate(self) -> bytes:
        if self._certificate is None:
            self._certificate = peers.certificate(self._transport)
        return self._certificate

    def room(self) -> int:
        return pieces.room(self._transport)

    def pause_body(self) -> None:
        self._body_paused = True
        self.deadline = NEVER
        self._set_reading()

    def resume_body(self) -> None:
        if self._body_paused:
            self._body_paused = False
            if self._pieces is not None:
                self._pieces.waited()
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
                self._forget(waiting, "client.behind_last")
                self._linger(unread=unread or bool(waiting))
                return
            if self._waiting:
                if exchange is not None:
                    exchange.finish()  # what it held is free for the next one
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
        if self._input is not None:
            self._input.receiving = None
        self._end_sending()

    def _end_sending(self) -> None:
        """Say that nothing follows, and drop what the client sends until it closes too."""
        self._phase = LINGER
        self._at_boundary = False
        self._wait(LINGER_SECONDS)
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
    def _is_silent(self) -> bool:
        """Nothing of a request has come yet, ever."""
        return self._phase == HEAD and not self._requests and self._input is None

    @property
    def is_busy(self) -> bool:
        """An answer is owed."""
        return self._current is not None or bool(self._waiting)

    def begin_drain(self) -> None:
        """The gateway stops, and its door knows it: idle connections are closed, busy ones with their answer.

        One that was used just now waits for a moment: its next request may be on its way, and would meet a reset. One that has
        brought nothing yet waits longer: its client has just been sent here, and counts on an answer.
        """
        if self._is_silent:
            self.deadline = min(self.deadline, monotonic() + self._door.first_timeout)
        elif self._current is None and self._at_boundary:
            used_at = self.deadline - (self._door.idle_timeout if self._phase == IDLE else self._door.header_timeout)
            if used_at + LAST_REQUEST_SECONDS <= monotonic():
                self._close()
            else:
                self.deadline = used_at + LAST_REQUEST_SECONDS

    def close(self) -> None:
        """The gateway ends: what is owed is cut off, and has its line in the access log before the last ones are handed over."""
        current, self._current = self._current, None
        if current is not None:
            current.on_stop()
        waiting, self._waiting = self._waiting, None
        for exchange, _ in waiting or ():
            exchange.fault = Fault(faults.GATEWAY_STOPPED)
        self._forget(waiting, faults.GATEWAY_STOPPED.label)
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
            # Whoever speaks up after all finds the end of the connection and no reset; TLS closes in order itself.
            ends = self._door.drains and self._is_silent and self._transport.can_write_eof()
            self._end_sending() if ends else self._close()

    def on_look(self) -> None:
        left = peers.is_reset if self._door.half_close else peers.is_gone
        if not self._reading and left(self._transport):
            self._transport.abort()
