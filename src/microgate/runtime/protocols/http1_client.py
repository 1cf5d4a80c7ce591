"""HTTP/1.1 towards backends: one connection, one exchange at a time.

An answer that comes in one piece, with a length and nothing unusual, is taken apart here; all others go through the
parser of `http1_answers.py`. It offers `exchange.Upstream` and reports to its owner, the pool, when it can be used again.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, cast

from microgate.runtime import faults
from microgate.runtime.exchange import HELD_BY_PEER
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import fields, peers, pieces
from microgate.runtime.protocols.deadlines import NEVER
from microgate.runtime.protocols.fields import Memo, connection_lines, value_of
from microgate.runtime.protocols.http1_answers import AnswerInput, BoundedAnswerInput
from microgate.runtime.protocols.pieces import LONG_BODY_BYTES, PieceReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.protocols.known_heads import KnownHeads
    from microgate.settings.model import ResponseLimits

REPLAY_BYTES = 65_536  # request body kept so that an idempotent request can be sent again on a fresh connection

# RFC 9110 §9.2.2; a request with any other method is never sent twice.
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})

# Builds the bytes of a request's head; linked per operation and endpoint, called again when a request is sent again.
Head: TypeAlias = "Callable[[Exchange], bytes]"


_STATUS_LINE = re.compile(rb"HTTP/1\.1 [0-9]{3} [\t\x20-\x7e\x80-\xff]*")


def _plain_status(start: bytes) -> int:
    """The status of a line whose answer has a body by the usual rules; 0 for all that need a closer look."""
    text = start[9:12]
    if _STATUS_LINE.fullmatch(start) is None:
        return 0
    status = int(text)
    return 0 if status < 200 or status in (204, 304) else status


_statuses: Memo[int] = Memo(_plain_status)


# Status, status line, end-to-end fields and length of an answer's head that came before.
KnownAnswer: TypeAlias = "tuple[int, bytes, Lines, int]"


class Bounds:
    """What one endpoint allows its connections: times in seconds, sizes in bytes, `max_body_bytes` -1 for any."""

    __slots__ = (
        "first",
        "idle",
        "kinds",
        "known",
        "max_body_bytes",
        "max_header_bytes",
        "max_status_bytes",
        "response",
        "small_head_bytes",
        "total",
    )

    def __init__(
        self,
        *,
        response: float,
        idle: float,
        total: float,
        limits: ResponseLimits,
        kinds: fields.Lines,
        known: KnownHeads[KnownAnswer],
    ) -> None:
        self.kinds = kinds  # of the answers' fields
        self.known = known
        self.response = response
        self.idle = idle
        self.total = total or NEVER
        self.first = min(self.response, self.total)  # until the first byte of an answer
        self.max_status_bytes = limits.max_status_line_length
        self.max_header_bytes = limits.max_header_size
        self.max_body_bytes = limits.max_entity_body_size
        # A head of this size is within both of its limits.
        self.small_head_bytes = min(self.max_status_bytes, self.max_header_bytes)


class Owner(Protocol):
    """The pool, as its connections see it."""

    def on_ready(self, connection: ClientConnection) -> None:
        """The exchange is over and the connection can take another one."""

    def on_closed(self, connection: ClientConnection) -> None:
        """The connection is gone."""

    def retry(self, exchange: Exchange, head: Head) -> None:
        """Nothing of the answer came from a reused connection, and the request may be sent again."""


class ClientConnection(asyncio.Protocol):
    """A connection to a backend whose answers' bodies have no bound."""

    answers: ClassVar[type[AnswerInput]] = AnswerInput

    __slots__ = (
        "_bounds",
        "_chunked",
        "_ends_at",
        "_fresh",
        "_head",
        "_input",
        "_owner",
        "_paused",
        "_pieces",
        "_replay",
        "_replay_bytes",
        "_sent",
        "_served",
        "active",
        "deadline",
        "exchange",
        "idle_since",
        "transport",
    )

    def __init__(self, owner: Owner, bounds: Bounds) -> None:
        self._owner = owner
        self._bounds = bounds
        self.exchange: Exchange | None = None
        self.transport: asyncio.Transport
        self.active = True  # counted by the pool as serving or about to serve
        self.deadline = NEVER
        self.idle_since = 0.0
        self._ends_at = NEVER  # the latest moment for the end of the answer
        self._head: Head
        self._input: AnswerInput | None = None
        self._served = 0
        self._paused = False
        self._pieces: PieceReader | None = None  # at work while a long answer comes
        self._chunked = False
        self._sent = False  # the request is complete
        self._fresh = True  # nothing of the answer has come
        self._replay: list[bytes] | None = None
        self._replay_bytes = 0

    def start(self, exchange: Exchange, head: Head) -> None:
        """Send a request's head and serve its exchange from now on."""
        self.exchange = exchange
        self._head = head
        self._fresh = True
        self._chunked = exchange.length < 0
        self._replay = [] if self._served and exchange.method in IDEMPOTENT else None
        self._served += 1
        now = exchange.upstream_started = monotonic()
        self._ends_at = now + self._bounds.total
        self.deadline = now + self._bounds.first
        self.transport.write(head(exchange))
        if exchange.request_complete and exchange.held is None and not self._chunked:
            exchange.upstream = self
            self._sent = True
        else:
            self._sent = False
            self._replay_bytes = 0
            exchange.attach(self)

    def _allow(self, seconds: float) -> None:
        """Time for the next piece, within that for the whole."""
        self.deadline = min(monotonic() + seconds, self._ends_at)

    def is_gone(self) -> bool:
        return peers.is_gone(self.transport)

    # exchange.Upstream

    def send_body(self, chunk: bytes) -> None:
        replay = self._replay
        if replay is not None:
            replay.append(chunk)
            self._replay_bytes += len(chunk)
            if self._replay_bytes > REPLAY_BYTES:
                self._replay = None
        self._allow(self._bounds.idle)
        if self._chunked:
            self.transport.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
        else:
            self.transport.write(chunk)

    def send_end(self, trailers: Lines | None) -> None:
        self._sent = True
        if self._chunked:
            self.transport.write(b"\r\n".join((b"0", *(trailers or ()), b"\r\n")))
        self._allow(self._bounds.response)

    def abort(self) -> None:
        self.exchange = None
        self.transport.abort()

    def room(self) -> int:
        return pieces.room(self.transport)

    def pause_answer(self) -> None:
        if not self._paused:
            self._paused = True
            self.deadline = self._ends_at
            self.transport.pause_reading()

    def resume_answer(self) -> None:
        if self._paused:
            self._paused = False
            if self._pieces is not None:
                self._pieces.waited()
            self._allow(self._bounds.idle)
            self.transport.resume_reading()

    def expect_late(self, until: float) -> None:
        if not self._sent:
            self.deadline = min(max(self.deadline, until + self._bounds.idle), self._ends_at)

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses
        self.transport.set_write_buffer_limits(1)  # whoever does not read is seen at once; 0 would pause TLS for good

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Nothing was asked: an idle backend that speaks is not to be trusted with the next request.
            self.transport.abort()
            return
        if self._fresh:
            self._fresh = False
            if self._sent and exchange.method != "HEAD" and self._take_whole(exchange, data):
                return
            if self._input is None:
                self._input = self.answers()
            self._input.begin(exchange, self._bounds)
        given = self._input
        assert given is not None
        fault = given.feed(data)
        if fault is not None:
            exchange.downstream.flush()
            self._lose(fault)
            return
        exchange.downstream.flush()
        if given.complete:
            self._end(reusable=given.reusable and self._sent)
            return
        if not self._paused and self._sent and given.started:
            self._allow(self._bounds.idle)
        if self._pieces is None and exchange.bytes_out > LONG_BODY_BYTES and self.exchange is exchange:
            room = exchange.downstream.room
            dues = exchange.dues
            self._pieces = PieceReader(self, self.transport, room if dues is None else dues.room(room))
            self._pieces.begin(paused=self._paused)

    def _take_whole(self, exchange: Exchange, data: bytes) -> bool:
        """Serve an answer that is all of `data`, with a length and nothing unusual; False where it needs a closer look."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self._bounds.small_head_bytes:
            return False
        head = data[:end]
        known = self._bounds.known.get(head)
        if known is not None:
            status, start, passed, size = known
            if len(data) - end - 4 != size:
                return False
            exchange.on_answer(status, start, passed.copy(), data[end + 4 :])
            self._end(reusable=True)
            return True
        lines = head.split(b"\r\n")
        start = lines.pop(0)
        status = _statuses[start]
        kinds = self._bounds.kinds
        length = b""
        passed = []
        for line in lines:
            kind = kinds[line] if len(line) < fields.REMEMBERED_LINE_BYTES else kinds.classify(line)
            if not kind:
                passed.append(line)
            elif kind == fields.CONTENT_LENGTH:
                if length:
                    return False
                length = value_of(line)
                passed.append(line)
            elif kind == fields.CONNECTION:
                options = connection_lines[line]
                if options.close or options.drops:
                    return False
            elif kind != fields.STOPPED:
                return False
        if (
            not status
            or not length.isdigit()
            or len(length) > fields.LENGTH_DIGITS
            or len(data) - end - 4 != int(length)
        ):
            return False
        if self._bounds.known.returns(head):
            self._bounds.known.keep(head, (status, start, passed.copy(), int(length)))
        exchange.on_answer(status, start, passed, data[end + 4 :])
        self._end(reusable=True)
        return True

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, given = self.exchange, self._input
        if exchange is not None:
            if not self._fresh and given is not None and given.until_close and exc is None:
                given.finish()
                exchange.downstream.flush()
            else:
                self._closed_early(exchange)
        self.deadline = NEVER
        self.exchange = None
        self._input = None
        self._pieces = None
        self._owner.on_closed(self)

    def _closed_early(self, exchange: Exchange) -> None:
        self.exchange = None
        if self._fresh and self._replay is not None and not exchange.done:
            exchange.upstream = None
            if self._replay:
                exchange.held = self._replay
                exchange.held_bytes = self._replay_bytes
            self._owner.retry(exchange, self._head)
        else:
            exchange.on_answer_lost(Fault(faults.BACKEND_CLOSED))

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.hold_body(HELD_BY_PEER)

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self._allow(self._bounds.idle)
            self.exchange.release_body(HELD_BY_PEER)

    # The end of an answer.

    def _end(self, *, reusable: bool) -> None:
        """A complete answer: back to the pool, or close."""
        self.exchange = None
        self.deadline = NEVER
        if not reusable or self.transport.is_closing():
            self.transport.abort()
            return
        if self._pieces is not None:
            self._pieces.end(paused=self._paused)
            self._pieces = None
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        self._owner.on_ready(self)

    def _lose(self, fault: Fault) -> None:
        exchange, self.exchange = self.exchange, None
        self.transport.abort()
        if exchange is not None:
            exchange.on_answer_lost(fault)

    def on_deadline(self) -> None:
        if self.exchange is not None:
            waiting = self._fresh and self._sent
            which = "total" if monotonic() >= self._ends_at else "response" if waiting else "idle"
            self._lose(Fault(faults.BACKEND_TIMEOUT, f"backend.{which}_timeout"))

    def on_look(self) -> None:
        if self.exchange is not None and self._paused and peers.is_reset(self.transport):
            self._lose(Fault(faults.BACKEND_CLOSED))


class BoundedConnection(ClientConnection):
    """A connection to a backend whose answers' bodies have a bound: what could pass it gets the closer look."""

    __slots__ = ()

    answers = BoundedAnswerInput

    def _take_whole(self, exchange: Exchange, data: bytes) -> bool:
        return len(data) <= self._bounds.max_body_bytes and super()._take_whole(exchange, data)
