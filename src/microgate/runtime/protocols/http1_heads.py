"""From the bytes of an HTTP/1.1 request head to an exchange, with the checks of RFC 9112 that the parser leaves to us.

`read_whole` is the common way: a request that came in one piece is split here and its grammar proved by a parser that all
connections of a worker share. Everything else comes through a connection's own parser and `open_exchange`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from microgate.runtime import faults
from microgate.runtime.exchange import Downstream, Exchange
from microgate.runtime.faults import Fault
from microgate.runtime.protocols import fields
from microgate.runtime.protocols.fields import (
    REMEMBERED_LINE_BYTES,
    connection_lines,
    methods,
    valid_hosts,
    value_of,
    values,
)
from microgate.runtime.protocols.known_heads import RequestFields

if TYPE_CHECKING:
    from microgate.runtime.exchange import Lines
    from microgate.runtime.protocols.door import Door

# What a request line has besides its target: method, two blanks, version, line end.
FOLLOWING = 64

_VERSIONS = {"1.1": 1, "1.0": 0}


class Client(Downstream, Protocol):
    """A client's connection, which remembers what its last plain request said besides its first line."""

    usual: RequestFields | None


def read_whole(client: Client, door: Door, data: bytes) -> Exchange | None:
    """The exchange of a plain request that is all of `data`; None where anything needs a closer look."""
    usual = client.usual
    if usual is not None and data.endswith(usual.section):
        exchange = _read_again(client, door, usual, data, len(data) - usual.size)
        if exchange is not None:
            return exchange
    if data[-4:] != b"\r\n\r\n":
        return _read_new(client, door, data, data.find(b"\r\n\r\n"))
    if client.trusted:
        return _read_new(client, door, data, len(data) - 4)
    line_end = data.find(b"\r\n")
    section = data[line_end:]
    known = door.known.get(section)
    if known is not None:
        client.usual = known
        return _read_again(client, door, known, data, line_end)
    exchange = _read_new(client, door, data, len(data) - 4)
    if exchange is not None and RequestFields.suit(exchange) and door.known.returns(section):
        door.known.keep(section, RequestFields(section, exchange))
    return exchange


# RFC 9112 §3, for the methods of RFC 9110 and 5789 and a target in origin form: method, target, path.
_START = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS) ((/[!\"$->@-~]*)(?:\?[!\"$-~]*)?) HTTP/1\.1")


def _read_again(client: Client, door: Door, known: RequestFields, data: bytes, line_end: int) -> Exchange | None:
    """A request whose fields were proved when they came first; its first line, up to `line_end`, is proved here."""
    start = _START.fullmatch(data, 0, line_end)
    if start is None or line_end > door.max_uri_bytes:
        return None
    method, target, path = start.groups()
    exchange = Exchange(client, methods[method], target, known.lines)
    exchange.path = path
    exchange.authority = known.authority
    exchange.authorization = known.authorization
    exchange.user_agent = known.user_agent
    exchange.passing = known.passing
    exchange.derived = known.derived
    exchange.keep_alive = True
    exchange.request_complete = True
    return exchange


def _read_new(downstream: Downstream, door: Door, data: bytes, end: int) -> Exchange | None:
    """As `read_whole`, for fields that are not known. A line end that is not CRLF splits too much; the proof refuses it."""
    if end < 0 or end > door.max_header_bytes:
        return None
    lines = data[:end].splitlines()
    if b"" in lines:
        return None  # the head ended earlier, and what follows it are empty lines or a body
    start = lines.pop(0).split(b" ") if lines else lines
    if len(start) != 3 or start[2] != b"HTTP/1.1":
        return None
    target = start[1]
    if target[:1] != b"/" or b"#" in target or len(target) > door.max_uri_bytes or len(lines) > door.max_header_count:
        return None
    exchange = Exchange(downstream, methods[start[0]], target, lines)
    if b"?" in target:
        exchange.path = target.partition(b"?")[0]
    if read_fields(exchange, door, lines) is not None or not exchange.keep_alive:
        return None
    length = exchange.length
    if len(data) - end - 4 != length or not door.proof.accepts(data):
        return None
    if length:
        exchange.bytes_in = length
        exchange.held = [data[end + 4 :]]
        exchange.held_bytes = length
    exchange.request_complete = True
    return exchange


def open_exchange(
    downstream: Downstream, door: Door, start: tuple[bytes, bytes, str], lines: Lines
) -> tuple[Exchange, Fault | None]:
    """The exchange of a request head, and what is wrong with it. `start` is method, target and version as parsed."""
    method, target, version_text = start
    exchange = Exchange(downstream, methods[method], target, lines)
    version = _VERSIONS.get(version_text)
    if version is None:
        return exchange, Fault(faults.VERSION)
    exchange.version = version
    if sum(map(len, lines)) + 2 * len(lines) > door.max_header_bytes or len(lines) > door.max_header_count:
        return exchange, Fault(faults.HEADERS_TOO_LARGE)
    if len(target) > door.max_uri_bytes:
        return exchange, Fault(faults.URI_TOO_LONG)
    fault = _read_target(exchange)
    if fault is None:
        fault = read_fields(exchange, door, lines)
    return exchange, fault


def read_fields(exchange: Exchange, door: Door, lines: Lines) -> Fault | None:  # noqa: C901, PLR0912 - one branch a field
    """Take what the fields say into the exchange, and sort out those that go on to a backend."""
    kinds = door.kinds
    passing = exchange.passing
    hosts = 0
    closes = False
    keep_alive = exchange.version == 1
    for line in lines:
        kind = kinds[line] if len(line) < REMEMBERED_LINE_BYTES else kinds.classify(line)
        if not kind:
            passing.append(line)
        elif kind == fields.HOST:
            hosts += 1
            value = values[line]
            if not valid_hosts[value]:
                return Fault(faults.BAD_REQUEST, "http.bad_host")
            exchange.authority = exchange.authority or value
        elif kind == fields.USER_AGENT:
            exchange.user_agent = values[line]
            passing.append(line)
        elif kind == fields.AUTHORIZATION:
            if exchange.authorization:
                return Fault(faults.BAD_REQUEST, "http.repeated_field")
            exchange.authorization = line[14:].strip(b" \t")
        elif kind == fields.CONNECTION:
            options = connection_lines[line]
            keep_alive = keep_alive or options.keep_alive
            closes = closes or options.close
            if options.drops:
                exchange.dropped_names = (exchange.dropped_names or frozenset()) | options.drops
        elif kind == fields.CONTENT_LENGTH:
            # The parser accepts only one, and only digits; here it may not have looked yet.
            value = line[15:].strip(b" \t")
            if exchange.length or not value.isdigit() or len(value) > fields.LENGTH_DIGITS:
                return Fault(faults.BAD_REQUEST, "http.content_length")
            exchange.length = int(value)
            passing.append(line)
        elif kind == fields.TRUSTED_ONLY:
            if exchange.downstream.trusted:
                passing.append(line)
        elif kind != fields.STOPPED:
            fault = _read_rare(exchange, kind, value_of(line))
            if fault is not None:
                return fault
    exchange.keep_alive = keep_alive and not closes
    if hosts != 1 and (hosts or exchange.version == 1):
        return Fault(faults.BAD_REQUEST, "http.host_fields")
    if exchange.downstream.trusted:
        _read_forwarded(exchange)
    return None


def _read_rare(exchange: Exchange, kind: int, value: bytes) -> Fault | None:
    if kind == fields.TRANSFER_ENCODING:
        # Any coding but chunked alone would have to be decoded here (RFC 9112 §6.1), and HTTP/1.0 knows none.
        if value.lower() != b"chunked" or exchange.version == 0 or exchange.length:
            return Fault(faults.BAD_REQUEST, "http.transfer_encoding")
        exchange.length = -1
    elif kind == fields.EXPECT and exchange.version == 1:
        if value.lower() != b"100-continue":
            return Fault(faults.EXPECTATION_FAILED)
        exchange.expects_continue = True
    elif kind == fields.REQUEST_ID:
        exchange.request_id_in = value
    elif kind == fields.TRACEPARENT:
        # A repeated one is no one's trace (W3C Trace Context §3.2).
        exchange.traceparent = b"" if exchange.traceparent else value
    return None


def _read_target(exchange: Exchange) -> Fault | None:
    target = exchange.target
    if exchange.method in fields.FOREIGN_METHODS:
        return Fault(faults.BAD_REQUEST, "http.method")
    if target[:1] != b"/":
        # RFC 9112 §3.2: asterisk-form is for the server itself, authority-form for CONNECT; absolute-form is rewritten.
        scheme, _, rest = target.partition(b"://")
        if exchange.method == "CONNECT" or scheme.lower() not in (b"http", b"https"):
            if target == b"*" and exchange.method == "OPTIONS":
                return None
            return Fault(faults.BAD_REQUEST, "http.target")
        cut = min(position for position in (rest.find(b"/"), rest.find(b"?"), len(rest)) if position >= 0)
        authority, path = rest[:cut], rest[cut:]
        if not authority or not valid_hosts[authority]:
            return Fault(faults.BAD_REQUEST, "http.target")
        exchange.authority = authority
        target = exchange.target = path if path.startswith(b"/") else b"/" + path
    if b"#" in target:
        return Fault(faults.BAD_REQUEST, "http.target")
    exchange.path = target.partition(b"?")[0]
    return None


def _read_forwarded(exchange: Exchange) -> None:
    """A trusted proxy says who the client is and how it came."""
    chain = b",".join(exchange.values(b"x-forwarded-for"))
    if chain:
        exchange.client = exchange.downstream.client_behind(chain.split(b","))
    for scheme in exchange.values(b"x-forwarded-proto"):
        if scheme.lower() in (b"http", b"https"):
            exchange.scheme = scheme.lower().decode()


def check_start(exchange: Exchange, target: bytes, raw: bytes, *, behind: bool) -> bool:
    """Whether the request line was written as RFC 9112 §3 has it: single blanks, and HTTP rather than RTSP or ICE.

    `raw` begins with it, unless it stands `behind` another message in the same piece, where its place is not known.
    """
    line = b"%b %b HTTP/1." % (exchange.method.encode(), target)
    return line in raw if behind else raw.lstrip(b"\r\n").startswith(line)
