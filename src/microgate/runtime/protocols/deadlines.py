"""One coarse timer per worker for all timeouts: watched objects carry a `deadline`, a sweep calls those past theirs.

Setting a deadline is an attribute store, so the request path arms and disarms timeouts for free. A watch is late by at most
its interval.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

NEVER = float("inf")
MAX_ENDED_AT_ONCE = 8


class Watched(Protocol):
    deadline: float  # time.monotonic() seconds, NEVER for none

    def on_deadline(self) -> None: ...

    def on_sweep(self) -> None:
        """Called at each sweep of a watch that checks its members, whatever their deadline."""


class Watch:
    """A set of objects, swept every `interval` seconds."""

    def __init__(self, loop: AbstractEventLoop, interval: float, *, checks: bool = False) -> None:
        self.members: set[Watched] = set()
        self.add = self.members.add
        self.discard = self.members.discard
        self._loop = loop
        self._interval = interval
        self._checks = checks
        self._timer: TimerHandle = loop.call_later(interval, self._sweep)

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._sweep)
        if not self.members:
            return
        now = monotonic()
        due = [member for member in self.members if member.deadline <= now]
        if due:
            self._end(due)
        if self._checks:
            for member in tuple(self.members):
                member.on_sweep()

    def _end(self, due: list[Watched]) -> None:
        """Call a few, and the rest in later turns of the loop, so that nobody waits for a crowd that ends at once."""
        now = monotonic()
        for member in due[-MAX_ENDED_AT_ONCE:]:
            if member.deadline <= now and member in self.members:
                # Put off rather than disarmed: one that fails to act on its deadline is called again.
                member.deadline = now + 1.0
                member.on_deadline()
        del due[-MAX_ENDED_AT_ONCE:]
        if due:
            self._loop.call_soon(self._end, due)

    def close(self) -> None:
        self._timer.cancel()
