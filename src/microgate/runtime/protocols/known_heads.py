"""Heads that came before: what was made of a head is found again by its bytes, so that a usual message is not taken apart.

A head is a pure function of its bytes, so this is sound for all connections of a worker. Clients repeat their fields with
other targets, backends repeat whole heads for as long as a second lasts; what comes once only is never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange, Lines

T = TypeVar("T")

MAX_ENTRIES = 4_096
MAX_KEPT_BYTES = 4_194_304  # of the heads; what is made of them takes about twice as much again
MAX_HEAD_BYTES = 4_096
_MARKS = 16_384


class KnownHeads(dict[bytes, T], Generic[T]):
    """Looked up as the dict it is. What is made of a head is worth keeping when it comes for the second time."""

    def __init__(self) -> None:
        super().__init__()
        self._marks: set[int] = set()
        self._bytes = 0

    def returns(self, head: bytes) -> bool:
        """Whether a head that is not kept came before, and may be kept; from now on it did."""
        mark = hash(head)
        if mark in self._marks:
            return len(head) <= MAX_HEAD_BYTES
        if len(self._marks) >= _MARKS:
            self._marks.clear()
        self._marks.add(mark)
        return False

    def keep(self, head: bytes, made: T) -> None:
        if len(self) >= MAX_ENTRIES or self._bytes > MAX_KEPT_BYTES:
            self.clear()
            self._bytes = 0
        self._bytes += len(head)
        self[head] = made


class RequestFields:
    """What a request's field section says, for exchanges without a body. Shared by them, so nothing of it is changed.

    `section` is all that follows the request line, the CRLF that ends it included. `derived` is the one thing that grows: what
    stages make of these fields, a few things for all operations.
    """

    __slots__ = ("authority", "authorization", "derived", "lines", "passing", "section", "size", "user_agent")

    def __init__(self, section: bytes, exchange: Exchange) -> None:
        self.section = section
        self.size = len(section)
        self.authority = exchange.authority
        self.authorization = exchange.authorization
        self.user_agent = exchange.user_agent
        self.lines: Lines = exchange.lines
        self.passing: Lines = exchange.passing
        self.derived: dict[object, Any] = {}

    @staticmethod
    def suit(exchange: Exchange) -> bool:
        """Whether there is nothing in the fields but what is kept: no trace, no body, no options of the connection."""
        return not (
            exchange.length
            or exchange.traceparent
            or exchange.request_id_in
            or exchange.dropped_names
            or exchange.expects_continue
            or exchange.downstream.trusted
        )
