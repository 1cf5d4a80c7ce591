"""The names of an exchange: its request id and its place in a W3C trace, given before anything can refuse it.

The first stage of every operation. Ids come from a pool of random hexadecimal digits, so that a request pays for a slice
and not for a system call; one linked stage serves all operations of a worker, made after the fork.
"""

from __future__ import annotations

import os
import re
from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.settings.model import Settings

Tail = tuple[str, str, str]  # what follows the time in a request id and in a trace id, and a span id

_TAILS = 128  # drawn at once
_TAIL_BYTES = 18  # ten of a UUID, eight of a span id
_STAMP_SECONDS = 0.001  # UUID version 7 counts milliseconds

# The bits that RFC 9562 section 5.7 fixes (version 7, variant 10), and the first of a span id, which may not be zero.
_FIXED_MASK = int.from_bytes(bytes.fromhex("f000c000000000000000" + "8000000000000000") * _TAILS)
_FIXED_BITS = int.from_bytes(bytes.fromhex("70008000000000000000" + "8000000000000000") * _TAILS)
_FREE_MASK = ~_FIXED_MASK

# What an id from outside may be: it goes into heads, logs and shells, so nothing that any of them reads as syntax.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}")

# W3C Trace Context level 1, section 3.2. A later version may have more fields behind a dash; version ff is forbidden.
_TRACEPARENT = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]([0-9a-f])(?:-.*)?", re.DOTALL)
_TRACEPARENT_BYTES = 55  # of version 00, exactly
_NO_TRACE_ID, _NO_SPAN_ID = "0" * 32, "0" * 16
_TRACESTATE = frozenset((b"tracestate",))


def link(settings: Settings) -> Callable[[Exchange], None]:
    """The stage that fills `request_id`, `trace_id`, `span_id` and `trace_flags`; it never refuses.

    A request id from outside is kept where the peer is a trusted proxy and the id is well formed (at most 128 safe
    characters). A valid `traceparent` is continued with a new span; an invalid one begins a new trace and takes
    `tracestate` with it, as the recommendation asks. Without both, the trace id is the request id without its dashes.
    """
    accepts_request_id = bool(settings.forwarding.request_id_header)
    tails: list[Tail] = []
    stamped_until = 0.0
    head = trace_head = ""

    def identify(exchange: Exchange) -> None:
        nonlocal stamped_until, head, trace_head
        if exchange.started >= stamped_until:
            stamped_until = exchange.started + _STAMP_SECONDS
            trace_head = f"{int(time() * 1000):012x}"
            head = f"{trace_head[:8]}-{trace_head[8:]}-"
        if not tails:
            tails.extend(_draw_tails())
        tail, trace_tail, exchange.span_id = tails.pop()
        exchange.request_id = head + tail
        exchange.trace_id = trace_head + trace_tail
        if exchange.traceparent:
            _continue_trace(exchange)
        given = exchange.request_id_in
        if given and accepts_request_id and exchange.downstream.trusted and _REQUEST_ID.fullmatch(given):
            exchange.request_id = given.decode("ascii")

    return identify


def _continue_trace(exchange: Exchange) -> None:
    given = exchange.traceparent.decode("latin-1")
    found = _TRACEPARENT.fullmatch(given)
    if found is not None:
        version, trace_id, parent_id, flags = found.groups()
        known_length = len(given) == _TRACEPARENT_BYTES or version != "00"
        if known_length and version != "ff" and trace_id != _NO_TRACE_ID and parent_id != _NO_SPAN_ID:
            exchange.trace_id = trace_id
            # Only the sampled bit has a meaning in level 1; the others must be sent on as zero.
            exchange.trace_flags = "01" if flags in "13579bdf" else "00"
            return
    exchange.dropped_names = (exchange.dropped_names or frozenset()) | _TRACESTATE


def _draw_tails() -> list[Tail]:
    """Random tails with the fixed bits set in all of them at once; drawn on first use, so after the fork."""
    size = _TAILS * _TAIL_BYTES
    drawn = int.from_bytes(os.urandom(size)) & _FREE_MASK | _FIXED_BITS
    digits = drawn.to_bytes(size).hex()
    return [
        (
            f"{digits[at : at + 4]}-{digits[at + 4 : at + 8]}-{digits[at + 8 : at + 20]}",
            digits[at : at + 20],
            digits[at + 20 : at + 36],
        )
        for at in range(0, 2 * size, 2 * _TAIL_BYTES)
    ]
