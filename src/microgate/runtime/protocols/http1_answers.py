"""Answers of backends that do not come as one whole piece: long, chunked, interim, bodiless, ended by the connection.

A connection makes one when it first needs it and feeds it; llhttp (httptools) does the grammar, the exchange gets the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httptools

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import fields
from microgate.runtime.protocols.fields import connections, status_line

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.protocols.http1_client import Bounds

MAX_INFORMATIONAL = 16
STATUS_BYTES = len("HTTP/1.1 200 ")
MAX_FRAMING_BYTES = 65_536  # chunk framing or trailers without a byte of body between


class AnswerInput:
    """The parser of one backend connection. After `begin`, `feed` until `complete`."""

    __slots__ = (
        "_bounds",
        "_dropped",
        "_exchange",
        "_fault",
        "_framing_bytes",
        "_head_bytes",
        "_informational",
        "_length",
        "_pairs",
        "_parser",
        "_reason",
        "_rest",
        "complete",
        "reusable",
        "started",
        "until_close",
    )

    def __init__(self) -> None:
        self._parser: httptools.HttpResponseParser | None = None

    def begin(self, exchange: Exchange, bounds: Bounds) -> None:
        """Expect the answer of `exchange` from the next byte on."""
        self._exchange = exchange
        self._bounds = bounds
        self._pairs: list[tuple[bytes, bytes]] = []
        self._dropped: frozenset[bytes] = frozenset()  # fields that the answer's Connection takes along
        self._reason = b""
        self._fault: Fault | None = None
        self._informational = 0
        self._head_bytes = 0
        self._framing_bytes = 0
        self._length: int | None = None
        self._rest = 0  # of a body with a length, once its head is through
        self.started = False  # the final head was handed on
        self.complete = False
        self.reusable = False
        self.until_close = False
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> Fault | None:
        """Take a piece of the answer to the exchange; the fault is why the connection cannot go on."""
        if self._rest:
            return self._take_body(data)
        assert self._parser is not None
        self._framing_bytes += len(data)
        if not self.started:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.unasked_upgrade")
        except httptools.HttpParserError:
            # After a complete answer it is about bytes that nobody asked for.
            self.reusable = False
            if not self.complete:
                self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.syntax")
        if self.complete:
            if self._exchange.method == "HEAD" or not self.reusable:
                self._parser = None  # it may be waiting for a body that never comes
        elif not self.started and self._head_bytes > self._bounds.max_header_bytes + self._bounds.max_status_bytes:
            self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.header_size")
        elif self._framing_bytes > MAX_FRAMING_BYTES + len(data):
            self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.chunk_overhead")
        elif self.started and self._length is not None:
            # All that is left is counting, which needs no parser; most answers of any size are of this kind.
            self._rest = self._length - self._exchange.bytes_out
            self._parser = None
        return self._fault

    def _take_body(self, data: bytes) -> Fault | None:
        left = self._rest - len(data)
        if left < 0:
            data = data[: self._rest]
            self.reusable = False  # nobody asked for what follows
        self._rest = max(0, left)
        self.on_body(data)
        if left <= 0 and self._fault is None:
            self.finish()
        return self._fault

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        self._pairs = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete or self._fault is not None:
            self.reusable = False
            return
        assert self._parser is not None
        exchange = self._exchange
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        self._framing_bytes = 0
        if version not in {"1.1", "1.0"}:
            self._fault = Fault(faults.BACKEND_BAD_ANSWER, "backend.version")
            return
        if status < 200:
            self._on_informational(status)
            return
        if self._head_bytes > self._bounds.small_head_bytes and self._is_too_large():
            return
        framing = self._read_framing(status, keep=version == "1.1")
        self._pairs = []
        if framing is None:
            self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.transfer_encoding")
            return
        length, lines = framing
        self._length = length
        self.started = True
        exchange.on_answer_head(status, status_line(status, self._reason), lines, length)
        if exchange.method == "HEAD":
            self.finish()  # the parser would wait for the body that the length speaks of

    def _is_too_large(self) -> bool:
        """Hold a head against its limits: what came so far may have a body in it."""
        reason = ""
        if len(self._reason) + STATUS_BYTES > self._bounds.max_status_bytes:
            reason = "backend.status_line_size"
        elif sum(len(name) + len(value) + 4 for name, value in self._pairs) > self._bounds.max_header_bytes:
            reason = "backend.header_size"
        if reason:
            self._fault = Fault(faults.BACKEND_BAD_ANSWER, reason)
        return bool(reason)

    def _read_framing(self, status: int, *, keep: bool) -> tuple[int | None, Lines] | None:
        """How the body ends, and the end-to-end fields of the answer; None for a transfer coding that is not chunked."""
        length: int | None = None
        chunked = closes = False
        passed: Lines = []
        kinds = self._bounds.kinds
        for name, value in self._pairs:
            line = b"%b: %b" % (name, value)
            kind = kinds.classify(line)
            if kind == fields.PLAIN:
                passed.append(line)
            elif kind == fields.CONTENT_LENGTH:
                length = int(value)
                passed.append(line)
            elif kind == fields.TRANSFER_ENCODING:
                # Another coding would have to be undone here before the field is dropped (RFC 9112 §6.1).
                chunked = True
                if value.lower() != b"chunked":
                    return None
            elif kind == fields.CONNECTION:
                options = connections[value]
                keep = keep or options.keep_alive
                closes = closes or options.close
                self._dropped |= options.drops
        bodiless = status in (204, 304) or self._exchange.method == "HEAD"
        self.until_close = length is None and not chunked and not bodiless
        self.reusable = keep and not closes and not self.until_close
        return length, self._undropped(passed)

    def _undropped(self, lines: Lines) -> Lines:
        dropped = self._dropped
        return [line for line in lines if line[: line.find(b":")].lower() not in dropped] if dropped else lines

    def _on_informational(self, status: int) -> None:
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            self._fault = Fault(faults.BACKEND_BAD_ANSWER, "backend.informational")
        elif status == 101:
            self._fault = Fault(faults.BACKEND_BAD_ANSWER, "backend.unasked_upgrade")
        elif status != 100 and self._exchange.version >= 1:
            _, lines = self._read_framing(status, keep=True) or (0, [])
            self.until_close = False
            self._exchange.downstream.send_informational(status_line(status, self._reason), lines)

    def on_body(self, chunk: bytes) -> None:
        self._framing_bytes = 0
        if self.complete:
            self.reusable = False
        elif self._fault is None:
            self._exchange.on_answer_body(chunk)

    def on_message_complete(self) -> None:
        if self.started and not self.complete and self._fault is None:
            self.finish()

    def finish(self) -> None:
        """The answer is complete: by its framing, or because the backend closed and nothing else ends it."""
        self.complete = True
        trailers = [b"%b: %b" % pair for pair in self._pairs]
        self._pairs = []
        classify = self._bounds.kinds.classify
        # What frames or identifies a message is no trailer (RFC 9110 §6.5.1).
        plain = [line for line in trailers if classify(line) == fields.PLAIN]
        self._exchange.on_answer_end(self._undropped(plain) or None)


class BoundedAnswerInput(AnswerInput):
    """For backends whose answers' bodies have a bound: a length over it is refused, other bodies are counted."""

    __slots__ = ()

    def _read_framing(self, status: int, *, keep: bool) -> tuple[int | None, Lines] | None:
        framing = super()._read_framing(status, keep=keep)
        if framing is None:
            return None
        bodiless = status in (204, 304) or self._exchange.method == "HEAD"
        if not bodiless and (framing[0] or 0) > self._bounds.max_body_bytes:
            self._fault = Fault(faults.BACKEND_BAD_ANSWER, "backend.body_size")
            return None
        return framing

    def on_body(self, chunk: bytes) -> None:
        if not self.complete and self._exchange.bytes_out + len(chunk) > self._bounds.max_body_bytes:
            self._fault = self._fault or Fault(faults.BACKEND_BAD_ANSWER, "backend.body_size")
        super().on_body(chunk)
