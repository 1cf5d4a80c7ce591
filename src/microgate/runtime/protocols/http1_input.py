"""What a client sends that did not come as one whole request: heads in pieces, bodies, pipelines, errors.

Made for a connection when it first needs one. It turns input into exchanges and their bodies, and hands both to its
connection in order; it never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import httptools

from microgate.runtime import faults
from microgate.runtime.exchange import Exchange
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import fields
from microgate.runtime.protocols.http1_heads import FOLLOWING, check_start, open_exchange

if TYPE_CHECKING:
    from microgate.runtime.exchange import Downstream, Lines
    from microgate.runtime.protocols.door import Door


class Sink(Protocol):
    """The connection, as its input sees it."""

    def admit(self, exchange: Exchange, fault: Fault | None) -> bool:
        """The next request in order, with what is wrong with it; False when it is not taken."""

    def fail_receiving(self, exchange: Exchange, fault: Fault) -> None:
        """A request whose body is still coming has gone wrong."""

    def is_last(self) -> bool:
        """Whether the newest request said that it is the last on this connection."""


class RequestInput:
    """The parser of one connection. `receiving` is the exchange whose body is coming, `partial` a head in pieces."""

    __slots__ = (
        "_before",
        "_door",
        "_downstream",
        "_ended",
        "_in_head",
        "_lines",
        "_newest",
        "_overhead",
        "_parser",
        "_raw",
        "_sink",
        "_trailers",
        "_url",
        "deaf",
        "partial",
        "receiving",
    )

    def __init__(self, downstream: Downstream, sink: Sink, door: Door) -> None:
        self._downstream = downstream
        self._sink = sink
        self._door = door
        self._parser = httptools.HttpRequestParser(self)
        self._ended = False  # the parser takes the newest request for the last one
        self._in_head = False
        self._lines: Lines = []
        self._trailers: Lines | None = None
        self._url = b""
        self._raw = b""
        self._before = 0  # bytes of `_raw` that may belong to what came before the head
        self._overhead = 0
        self._newest: Exchange | None = None
        self.partial = b""
        self.receiving: Exchange | None = None
        self.deaf = False  # nothing that comes is read as a request any more

    def feed(self, data: bytes) -> None:
        """Parse a piece of input whole. Exchanges it completes begin only after that, so its errors reach no backend."""
        if self.partial:
            self._raw = self.partial + data
        else:
            self._raw = data
            self._before = 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._raw = b""
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse_input()
        if self.deaf:
            self.partial = b""
        elif self._in_head:
            self._check_unfinished_head()
        elif self.receiving is not None:
            self._check_framing(len(data))
        elif self._ended and not self._sink.is_last():
            self._parser = httptools.HttpRequestParser(self)
            self._ended = False
        self._raw = b""

    def close(self) -> None:
        """Break the cycle with the parser, so that the connection's memory is free at once."""
        del self._parser
        self.receiving = self._newest = None

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        self._lines = []
        self._trailers = None
        self._url = b""
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._lines.append(b"%b: %b" % (name, value))
        elif self.receiving is not None:
            self._take_trailer(self.receiving, b"%b: %b" % (name, value))

    def _take_trailer(self, receiving: Exchange, line: bytes) -> None:
        """Keep a trailer, unless it is a field that frames, routes or identifies (RFC 9110 §6.5.1)."""
        dropped = receiving.dropped_names or ()
        if self._door.kinds.classify(line) == fields.PLAIN and line[: line.find(b":")].lower() not in dropped:
            if self._trailers is None:
                self._trailers = []
            self._trailers.append(line)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.partial = b""
        if self.deaf:
            return
        parser = self._parser
        start = (parser.get_method(), self._url, parser.get_http_version())
        exchange, fault = open_exchange(self._downstream, self._door, start, self._lines)
        behind = self._before > 0
        if fault is None and not check_start(exchange, self._url, self._raw, behind=behind):
            fault = Fault(faults.BAD_REQUEST, "http.request_line")
        self._overhead = 0
        self.receiving = self._newest = exchange
        if not self._sink.admit(exchange, fault):
            self.receiving = None
            self.deaf = True

    def on_body(self, chunk: bytes) -> None:
        receiving = self.receiving
        if receiving is not None:
            self._overhead = 0
            receiving.on_request_body(chunk)

    def on_message_complete(self) -> None:
        self._before = len(self._raw)
        self._ended = not self._parser.should_keep_alive()
        receiving, self.receiving = self.receiving, None
        if receiving is not None:
            receiving.on_request_end(self._trailers)

    # What is wrong with it.

    def _refuse_input(self) -> None:
        """The parser found an error: it belongs to the message being received, or is one of its own."""
        if self.deaf or (self.receiving is None and self._sink.is_last()):
            self.deaf = True  # what follows a `Connection: close` is nobody's
            return
        if self.receiving is not None:
            self._fail(Fault(faults.BAD_REQUEST, "http.body_framing"))
        elif len(self._url) > self._door.max_uri_bytes:
            self.refuse_unfinished(Fault(faults.URI_TOO_LONG))
        else:
            self.refuse_unfinished(Fault(faults.BAD_REQUEST, "http.syntax"))

    def _fail(self, fault: Fault) -> None:
        receiving, self.receiving = self.receiving, None
        assert receiving is not None
        self.deaf = True
        self._sink.fail_receiving(receiving, fault)

    def refuse_unfinished(self, fault: Fault) -> None:
        """Refuse a request whose head never became complete."""
        self._in_head = False
        self.partial = b""
        self.deaf = True
        self._sink.admit(Exchange(self._downstream, "", self._url, []), fault)

    def _check_unfinished_head(self) -> None:
        """Bound a head that is still coming, and see what can never become one."""
        raw, door = self._raw, self._door
        # Where the head begins is not known behind another message in the same piece; then that piece is not counted.
        size = len(raw) - self._before
        end = raw.find(b"\r\n", len(raw) - len(raw.lstrip(b"\r\n"))) if not self._before else 0
        if len(self._url) > door.max_uri_bytes or (end < 0 and size > door.max_uri_bytes + FOLLOWING):
            self.refuse_unfinished(Fault(faults.URI_TOO_LONG))
        elif size - len(self._url) > door.max_header_bytes + FOLLOWING:
            self.refuse_unfinished(Fault(faults.HEADERS_TOO_LARGE))
        elif end > 0 and b" HTTP/1." not in raw[:end]:
            self.refuse_unfinished(Fault(faults.BAD_REQUEST, "http.request_line"))
        else:
            spare = max(0, self._before - door.max_uri_bytes - door.max_header_bytes - FOLLOWING)
            self._before -= spare
            self.partial = raw[spare:]

    def _check_framing(self, size: int) -> None:
        """Bound chunk framing and trailers between two bytes of body."""
        self._overhead += size
        if self._overhead > self._door.max_header_bytes + size:
            self._fail(Fault(faults.HEADERS_TOO_LARGE, "http.chunk_overhead"))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """An Upgrade is not answered: go on as if the field were not there, the body of the request included.

        llhttp stops at the end of the head; a parser of the same state is made by a head of our own with the same framing.
        """
        newest = self._newest
        if newest is None or self.deaf:
            return
        newest.request_complete = False
        framing = b"Content-Length: %d" % newest.length if newest.length >= 0 else b"Transfer-Encoding: chunked"
        self._parser = httptools.HttpRequestParser(self)
        self.deaf = True  # to our own head
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        self.deaf = False
        if newest.length:
            self.receiving = newest
        else:
            newest.on_request_end(None)
        if rest:
            self.feed(rest)
