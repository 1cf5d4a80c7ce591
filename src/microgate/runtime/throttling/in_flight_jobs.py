"""The steward's work with the table of what is in flight: to let go of keys of which nothing is."""

from __future__ import annotations

from microgate.runtime.throttling.in_flight import is_idle, owners_of
from microgate.runtime.throttling.jobs import Keeper
from microgate.runtime.throttling.table import CELLS


class InFlightKeeper(Keeper):
    """Sweeps as the other one does; only what is over is something else."""

    def is_over(self, words: list[int], now: float) -> bool:
        return is_idle(words[CELLS:], owners_of(self._table))
