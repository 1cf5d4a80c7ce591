"""What all generations of one supervisor have counted together, so that no number falls when a project is served anew.

The supervisor enters the region of each generation and folds it in once its processes have ended. A steward reads the copy
that it was forked with, in which the regions of its own time are still open: their workers go on counting. metrics.py
lays a region out.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.observability.metrics import COUNTERS, Row, Totals, limits, rows

if TYPE_CHECKING:
    from microgate.plan.model import Plan
    from microgate.runtime.observability.metrics import Region
    from microgate.runtime.pipeline import Labels

MAX_VANISHED_ROWS = 1_000  # operations that the newest plan no longer has: remembered up to so many; limits likewise


class Series(NamedTuple):
    """What names an operation in the metrics; the same in every generation that has it."""

    method: str
    route: str
    api: str
    version: str
    operation_id: str


def _series(labels: Labels) -> Series:
    return Series(labels.method, labels.route, labels.api, labels.version, labels.operation_id)


class _Page:
    """One generation that still counts."""

    def __init__(self, plan: Plan, region: Region, workers: int) -> None:
        self.region = region
        self.totals = Totals(region, plan, workers)
        self.series = tuple(_series(labels) for labels in rows(plan))


class Ledger:
    """Sums over generations. `begin` and `end` are for the supervisor, the rest is for whoever shows the sums."""

    def __init__(self) -> None:
        self._lock = Lock()  # in one process a generation may end while a thread makes the metrics page
        self._open: list[_Page] = []
        self._rows: dict[Series, Row] = {}
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._decisions: dict[tuple[str, str], list[int]] = {}

    def begin(self, plan: Plan, region: Region, workers: int) -> None:
        """A generation counts in this region from now on."""
        page = _Page(plan, region, workers)
        with self._lock:
            self._open.append(page)
            vanished = self._rows.keys() - set(page.series)
            if len(vanished) > MAX_VANISHED_ROWS:
                for series in vanished:
                    del self._rows[series]
            unused = self._decisions.keys() - set(limits(plan))
            if len(unused) > MAX_VANISHED_ROWS:
                for name in unused:
                    del self._decisions[name]

    def end(self, region: Region) -> None:
        """Nobody counts in this region any more: keep its sums, and let go of it."""
        with self._lock:
            (page,) = [page for page in self._open if page.region is region]
            self._open.remove(page)
            for name in COUNTERS:
                self._counters[name] += page.totals.counter(name)
            for position, row in page.totals.rows():
                self._rows.setdefault(page.series[position], Row()).fold(row)
            _add(self._decisions, page.totals.decisions())
            page.totals.close()

    def counter(self, name: str) -> int:
        with self._lock:
            return self._counters[name] + sum(page.totals.counter(name) for page in self._open)

    def gauge(self, name: str) -> int:
        """What holds now, in all generations that still have processes."""
        with self._lock:
            return sum(page.totals.gauge(name) for page in self._open)

    def decisions(self) -> dict[tuple[str, str], list[int]]:
        """What limits have decided, by level and policy: how often each of `VERDICTS` was given."""
        found: dict[tuple[str, str], list[int]] = {}
        with self._lock:
            for counted in (self._decisions, *(page.totals.decisions() for page in self._open)):
                _add(found, counted)
        return found

    def rows(self) -> list[tuple[Series, Row]]:
        """The operations that were asked for, in the order in which they were first known."""
        found: dict[Series, Row] = {}
        with self._lock:
            for series, row in self._rows.items():
                found[series] = Row()
                found[series].fold(row)
            for page in self._open:
                for position, row in page.totals.rows():
                    found.setdefault(page.series[position], Row()).fold(row)
        return list(found.items())


def _add(sums: dict[tuple[str, str], list[int]], counted: dict[tuple[str, str], list[int]]) -> None:
    for name, counts in counted.items():
        before = sums.get(name)
        sums[name] = counts if before is None else [one + other for one, other in zip(before, counts, strict=True)]
