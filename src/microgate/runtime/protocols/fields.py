"""Names and values of HTTP fields, classified once and remembered: what a field is for, never what a policy wants of it.

Both sides of HTTP/1.1 use it; HTTP/2 will. A memo is a dict that fills itself up to a bound, so that the common names cost
one lookup and a flood of invented ones costs no memory.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")

MEMO_ENTRIES = 2_048
MEMO_KEY_BYTES = 256


class Memo(dict[bytes, V], Generic[V]):
    """Remembers `compute(key)` for the first keys it meets; `memo[key]` is one dict lookup from then on."""

    def __init__(self, compute: Callable[[bytes], V]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: bytes) -> V:
        value = self._compute(key)
        if len(self) < MEMO_ENTRIES and len(key) <= MEMO_KEY_BYTES:
            self[bytes(key)] = value
        return value


# RFC 9110 §7.6.1 and its predecessors: fields that speak of this connection only.
HOP_BY_HOP_NAMES = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te transfer-encoding upgrade "
    b"http2-settings".split()
)

# What a field is to the protocol. PLAIN fields pass as they came; STOPPED ones never do.
PLAIN, HOST, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, USER_AGENT, CONNECTION = range(8)
REQUEST_ID, TRACEPARENT, TRUSTED_ONLY, STOPPED, INVALID = range(8, 13)

# Other names under which proxies tell a client's address, scheme and certificate (RFC 9440): passed on from trusted ones,
# a client's own are dropped.
PROXY_NAMES = frozenset(
    b"x-real-ip true-client-ip x-client-ip x-cluster-client-ip x-forwarded-port x-forwarded-ssl x-forwarded-server "
    b"x-forwarded-protocol x-forwarded-scheme x-url-scheme front-end-https x-original-forwarded-for client-cert "
    b"client-cert-chain".split()
)

REQUEST_KINDS = (
    dict.fromkeys(HOP_BY_HOP_NAMES, STOPPED)
    | dict.fromkeys(PROXY_NAMES, TRUSTED_ONLY)
    | {
        b"host": HOST,
        b"authorization": AUTHORIZATION,
        b"content-length": CONTENT_LENGTH,
        b"transfer-encoding": TRANSFER_ENCODING,
        b"expect": EXPECT,
        b"user-agent": USER_AGENT,
        b"connection": CONNECTION,
        b"traceparent": TRACEPARENT,
        b"x-forwarded-for": STOPPED,
        b"x-forwarded-proto": STOPPED,
        b"x-forwarded-host": STOPPED,
        b"forwarded": STOPPED,
    }
)

ANSWER_KINDS = dict.fromkeys(HOP_BY_HOP_NAMES, STOPPED) | {
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"connection": CONNECTION,
}

REMEMBERED_LINE_BYTES = 160

LENGTH_DIGITS = 19  # of a Content-Length: nothing is longer than 2^63, and Python does not convert numbers of any size

# RFC 9110 §5.5 and §5.6.2: a token, a colon, and a value without controls.
_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")


class Lines(dict[bytes, int]):
    """The kind of a field line by all its bytes: most lines of a peer come again, so most cost one lookup.

    Where it `proves`, a line that is no field line is INVALID, so that a message whose lines all have another kind needs no
    other proof of them. Names that a client spells with "_" are read as with "-" where a field is stopped, since many
    backends do (R12).
    """

    def __init__(self, kinds: dict[bytes, int], *, proves: bool = False) -> None:
        super().__init__()
        self._kinds = kinds
        self._proves = proves
        self._names: dict[bytes, int] = {}

    def __missing__(self, line: bytes) -> int:
        kind = self.classify(line)
        if len(self) >= MEMO_ENTRIES:
            self.clear()
        self[line] = kind
        return kind

    def classify(self, line: bytes) -> int:
        """The kind without remembering the line: for long lines, which are credentials and cookies."""
        if self._proves and _LINE.fullmatch(line) is None:
            return INVALID
        name = line[: line.find(b":")]
        kind = self._names.get(name)
        if kind is None:
            lower = name.lower()
            kind = self._kinds.get(lower, PLAIN)
            if kind == PLAIN and b"_" in lower and self._kinds.get(lower.replace(b"_", b"-"), PLAIN) != PLAIN:
                kind = STOPPED
            if len(self._names) < MEMO_ENTRIES and len(name) <= REMEMBERED_LINE_BYTES:
                self._names[name] = kind
        return kind


def value_of(line: bytes) -> bytes:
    """The value of a field line, without the blanks around it."""
    return line[line.find(b":") + 1 :].strip(b" \t")


class Connection:
    """What a Connection field says: whether to close, whether to keep, and which fields it takes along."""

    __slots__ = ("close", "drops", "keep_alive")

    def __init__(self, value: bytes) -> None:
        options = {option.strip().lower() for option in value.split(b",")} - {b""}
        self.close = b"close" in options
        self.keep_alive = b"keep-alive" in options
        # Fields that frame or address the message cannot be taken away by a client.
        self.drops = frozenset(options - HOP_BY_HOP_NAMES - {b"close", b"host", b"content-length", b"authorization"})


# Values of lines that come again: Host, User-Agent.
values: Memo[bytes] = Memo(value_of)

connections: Memo[Connection] = Memo(Connection)
connection_lines: Memo[Connection] = Memo(lambda line: connections[value_of(line)])

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")

# RFC 9112 §3.2: no userinfo, no blanks, no list. An empty Host is legal and names nothing.
valid_hosts: Memo[bool] = Memo(lambda value: _HOST.fullmatch(value) is not None)

methods: Memo[str] = Memo(lambda name: name.decode("latin-1"))


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}


def status_line(status: int, reason: bytes) -> bytes:
    """The status line, without its end: with the reason a backend gave, or the usual one where none is given."""
    if reason:
        return b"HTTP/1.1 %d %b" % (status, reason)
    return _STATUS_LINES.get(status) or _status_line(status)


# Methods of RTSP and ICE, which the parser takes for HTTP's.
FOREIGN_METHODS = frozenset(
    {"DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "REDIRECT"}
) | {"RECORD", "FLUSH", "SOURCE"}
