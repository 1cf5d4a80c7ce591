"""How many requests may wait for a backend, found from how long it takes to answer.

A gradient over short windows: the bound is multiplied by what is allowed over what was measured, and grows by its root while
it is used. What is allowed is a multiple of the time that the backend takes when it is not full. overload.py feeds it; it
knows neither clock nor exchange. docs/decisions/0012-adaptive-bounds.md says why each rule is there.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_LIMIT = 50
FLOOR = 4  # few enough to see how fast a backend is that has next to nothing to do
CEILING = 10_000
TOLERANCE = 2.0  # times the usual latency that is not taken for a queue
STEEPEST = 0.5  # of the bound that one window leaves at least

WINDOW_SECONDS = 0.1
WINDOW_SAMPLES = 16
LONG_WINDOW_SECONDS = 1.0  # after which few samples are enough
LONG_WINDOW_SAMPLES = 4

FLOOR_WINDOWS = 3  # in a row at the floor, until its latency is taken for the usual one
DIP_SECONDS = 10.0  # from one look at half the bound to the next, while requests are refused
DIP_WINDOWS = 2  # the first of them still sees what was admitted before


class AdaptiveLimit:
    """The bound on what waits for one backend operation; `now` is read for each request."""

    __slots__ = (
        "_at_floor",
        "_dip_left",
        "_failed",
        "_next_dip",
        "_opened",
        "_report",
        "_samples",
        "_slow_start",
        "_target",
        "_undipped",
        "now",
        "refused",
        "usual",
    )

    def __init__(self, target_seconds: float, report: Callable[[int], None], began: float) -> None:
        """`report` is told each change of the bound as a difference."""
        self.now = FIRST_LIMIT
        self.refused = False  # since the window was opened
        self.usual = 0.0  # seconds that the backend takes to answer when it is not full; 0.0: nobody knows yet
        self._target = target_seconds
        self._report = report
        self._samples: list[float] = []
        self._failed = 0
        self._opened = began
        self._at_floor = 0
        self._slow_start = True
        self._next_dip = began + DIP_SECONDS
        self._dip_left = 0
        self._undipped = 0
        report(self.now)

    def answered(self, seconds: float, at: float, waiting: int) -> None:
        """An answer began after so many seconds, while so many requests wait."""
        samples = self._samples
        samples.append(seconds)
        age = at - self._opened
        if age >= WINDOW_SECONDS and (
            len(samples) >= WINDOW_SAMPLES or (age >= LONG_WINDOW_SECONDS and len(samples) >= LONG_WINDOW_SAMPLES)
        ):
            self._turn(at, waiting)

    def gave_up(self, seconds: float, at: float, waiting: int) -> None:
        """No answer came in so many seconds; a client that left early proves nothing."""
        if seconds > self._allowed():
            self._failed += 1
            self.answered(seconds, at, waiting)

    def _allowed(self) -> float:
        return max(self.usual * TOLERANCE, self._target)

    def _turn(self, at: float, waiting: int) -> None:
        """Close a window: learn the usual latency, then move the bound."""
        samples = sorted(self._samples)
        latency = samples[len(samples) // 2]
        lost = self._failed * 2 > len(samples)
        used = self.refused or waiting * 2 >= self.now
        if not lost:
            self._learn(latency, used)
        if self._dip_left:
            self._dip_left -= 1
            if not self._dip_left:
                self._move(self._undipped)
        elif self.refused and at >= self._next_dip:
            self._next_dip = at + DIP_SECONDS
            self._dip_left, self._undipped = DIP_WINDOWS, self.now
            self._move(self.now // 2)
        elif used:
            self._steer(0.0 if lost else self._allowed() / latency)
        self._samples = []
        self._failed = 0
        self.refused = False
        self._opened = at

    def _learn(self, latency: float, used: bool) -> None:
        self._at_floor = self._at_floor + 1 if self.now <= FLOOR else 0
        if self._at_floor >= FLOOR_WINDOWS:
            # Slow with next to nothing to do: that is its pace now, and its room is found anew.
            self.usual = latency
            self._at_floor = 0
            self._slow_start = True
        elif self.usual == 0.0 or latency < self.usual:
            self.usual = latency
        elif not used and latency <= self._allowed():
            # Healthy traffic has its own pace: the fastest night must not judge the day.
            self.usual += (latency - self.usual) * 0.01

    def _steer(self, gradient: float) -> None:
        if gradient >= 1.0:
            self._move(self.now * 2 if self._slow_start else self.now + isqrt(self.now))
        else:
            self._slow_start = False
            self._move(int(self.now * max(gradient, STEEPEST)) + isqrt(self.now))

    def _move(self, limit: int) -> None:
        limit = min(max(limit, FLOOR), CEILING)
        self._report(limit - self.now)
        self.now = limit
