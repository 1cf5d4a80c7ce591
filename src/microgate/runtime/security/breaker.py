"""When to stop making requests wait for somebody who gives no answer, and when to try again.

After some failures in a row nobody waits for a while, ever longer; then one at a time finds out. `calls.py` holds one for each
service; whatever else a request may wait for has one of its own.
"""

from __future__ import annotations

import logging
from time import monotonic

FAILURES_TO_OPEN = 5  # in a row, after which nobody is made to wait
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

log = logging.getLogger("microgate.security")


class Breaker:
    """`name` is how logs call who is waited for. `waiting` counts those who do: the caller keeps it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting = 0
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Nobody is to wait now; after a pause one at a time may."""
        return monotonic() < self._open_until or (self._failures >= FAILURES_TO_OPEN and self.waiting > 0)

    def fail(self, why: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self._failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE_SECONDS)
            self._open_until = monotonic() + pause
            if self._failures == FAILURES_TO_OPEN:
                log.warning("the %s does not answer: %s; it is asked less often until it does", self.name, why)

    def succeed(self) -> None:
        if self._failures >= FAILURES_TO_OPEN:
            log.warning("the %s answers again", self.name)
        self._failures = 0
        self._open_until = 0.0
