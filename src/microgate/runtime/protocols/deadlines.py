"""One coarse timer per worker for all timeouts: watched objects carry a `deadline`, a sweep calls those past theirs.

Setting a deadline is an attribute store, so the request path arms and disarms timeouts for free. A watch is late by at most
its interval. Members of a watch that looks are asked now and then whether all is well, a few at a time.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

NEVER = float("inf")
MAX_ENDED_AT_ONCE = 8
LOOK_SECONDS = 0.4
_LOOK_STEP_SECONDS = 0.02


class Watched(Protocol):
    deadline: float  # time.monotonic() seconds, NEVER for none

    def on_deadline(self) -> None: ...

    def on_look(self) -> None:
        """Called every `LOOK_SECONDS` or so by a watch that looks after its members, whatever their deadline."""


class Watch:
    """A set of objects, swept every `interval` seconds."""

    def __init__(self, loop: AbstractEventLoop, interval: float, *, looks: bool = False) -> None:
        self.members: set[Watched] = set()
        self.add = self.members.add
        self.discard = self.members.discard
        self._loop = loop
        self._interval = interval
        self._timer: TimerHandle = loop.call_later(interval, self._sweep)
        self._unseen: list[Watched] = []
        self._slice = 0
        self._looking: TimerHandle | None = loop.call_later(_LOOK_STEP_SECONDS, self._look) if looks else None

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self._interval, self._sweep)
        if not self.members:
            return
        now = monotonic()
        due = [member for member in self.members if member.deadline <= now]
        if due:
            self._end(due)

    def _look(self) -> None:
        """Look after a slice of the members; a round over all of them takes `LOOK_SECONDS`."""
        if not self._unseen:
            self._unseen = list(self.members)
            self._slice = int(len(self._unseen) * _LOOK_STEP_SECONDS / LOOK_SECONDS) + 1
        few = self._unseen[-self._slice :]
        del self._unseen[-self._slice :]
        # A round over few members would be over at once: its next step is put off instead.
        pause = _LOOK_STEP_SECONDS if self._unseen else LOOK_SECONDS / 2
        self._looking = self._loop.call_later(pause, self._look)
        for member in few:
            if member in self.members:
                member.on_look()

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
        if self._looking is not None:
            self._looking.cancel()
