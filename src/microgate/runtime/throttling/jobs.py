"""What must be done once for all workers: let the clock of limits follow the wall clock, and let go of keys that nobody counts.

A row goes in two steps, so that no worker counts in it meanwhile: first it is marked and the epoch turns, so that whoever
remembers it looks for it anew and thereby keeps it; only after a while, if it is still marked and still, it is free.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from microgate.runtime.throttling.clock import DRIFT_SECONDS, LimitClock
from microgate.runtime.throttling.table import (
    CELLS,
    EPOCH,
    KEYS,
    META,
    RETIRING,
    SHARED_ROWS,
    Table,
    is_bucket,
    window_of,
)
from microgate.runtime.throttling.windows import count_bits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.plan.model import Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.observability.metrics import Metrics
    from microgate.runtime.regions import Regions
    from microgate.runtime.throttling.table import LimitRegion
    from microgate.settings.model import Settings

SWEEP_SECONDS = 60.0
GRACE_SECONDS = 5.0  # in which a worker that remembered a row before the epoch turned has finished with it
BLOCK_ROWS = 512
MIN_KEYS = 4_096  # with fewer there is nothing to be gained


def jobs(plan: Plan, settings: Settings, regions: Regions, metrics: Metrics) -> list[Job]:
    """The steward's work, while the project limits anything."""
    region = regions.limits
    assert region is not None
    keeper = Keeper(region, metrics)
    path = settings.throttling.state_file
    keeping: list[Job] = [partial(_keep_file, region, path)] if path else []
    if regions.in_flight is not None:
        from microgate.runtime.throttling.in_flight_jobs import InFlightKeeper

        keeping.append(InFlightKeeper(regions.in_flight, metrics).keep_room)
    return [keeper.keep_time, keeper.keep_room, *keeping, *_sharing_jobs(plan, settings, region, metrics)]


async def _keep_file(region: LimitRegion, path: str, _hub: Hub) -> None:
    from microgate.runtime.throttling.state_file import WRITE_SECONDS, StateFile

    file = StateFile(region, path)
    while True:
        await asyncio.sleep(WRITE_SECONDS)
        await asyncio.to_thread(file.write)


def prove(settings: Settings, plan: Plan) -> None:
    """Raise SettingsError or KeyMaterialError where counts cannot be shared or callers not be shut out as it is wanted."""
    if any(policy.store != "node" for policy in plan.policies):
        from microgate.runtime.throttling.stores import places

        places.prove(plan, settings.throttling.store)
    if settings.throttling.blocking_file:
        from microgate.runtime.throttling import blocking_file

        blocking_file.prove(settings)
    if settings.throttling.enabled_global_tm_event_publishing:
        from microgate.runtime.throttling.traffic_manager import jobs as traffic_manager

        traffic_manager.prove(settings)


def _sharing_jobs(plan: Plan, settings: Settings, region: LimitRegion, metrics: Metrics) -> list[Job]:
    if all(policy.store != "fast" for policy in plan.policies):
        return []
    from microgate.runtime.throttling.stores import sharing

    return sharing.jobs(region, settings.throttling.store, metrics)


class Keeper:
    """Keeps the table of counts in order."""

    def __init__(self, region: LimitRegion, metrics: Metrics, clock: LimitClock | None = None) -> None:
        self._table = Table(region, None)
        self._clock = clock or LimitClock(self._table)
        self._show_keys = metrics.gauge("limit_keys")
        self._count_shared = metrics.counter("limit_keys_sharing")
        self._keys = self._shared = 0

    async def keep_time(self, _hub: Hub) -> None:
        while True:
            self._clock.drift()
            self._show()
            await asyncio.sleep(DRIFT_SECONDS)

    def _show(self) -> None:
        cells = self._table.cells
        keys, shared = cells[KEYS], cells[SHARED_ROWS]
        self._show_keys(keys - self._keys)
        self._count_shared(shared - self._shared)
        self._keys, self._shared = keys, shared

    async def keep_room(self, _hub: Hub) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self._table.cells[KEYS] >= MIN_KEYS:
                await self.sweep(GRACE_SECONDS)

    async def sweep(self, grace_s: float) -> int:
        """Let go of all keys whose counts are over; how many."""
        marked: list[int] = []
        for rows in self._idle_rows():
            if rows:
                with self._table.locked():
                    for row in rows:
                        self._table.retire(row)
                marked += rows
            await asyncio.sleep(0)
        if not marked:
            return 0
        self._table.cells[EPOCH] += 1
        await asyncio.sleep(grace_s)
        freed = 0
        for position in range(0, len(marked), BLOCK_ROWS):
            with self._table.locked():
                freed += sum(self._free(row) for row in marked[position : position + BLOCK_ROWS])
            await asyncio.sleep(0)
        return freed

    def _idle_rows(self) -> Iterator[list[int]]:
        table = self._table
        for begin in range(0, table.rows, BLOCK_ROWS):
            now = self._clock.monotonic()
            yield [row for row, words in table.block(begin, BLOCK_ROWS) if self.is_over(words, now)]

    def _free(self, row: int) -> bool:
        words = self._table.words(row)
        if not words[META] & RETIRING or not self.is_over(words, self._clock.monotonic()):
            return False
        self._table.free(row)
        return True

    def is_over(self, words: list[int], now: float) -> bool:
        """Whether the counts of a row matter to nobody: the window before the present one may still be weighed."""
        kind = words[META]
        newest = max(words[CELLS:])
        if is_bucket(kind):
            return newest <= now * 1_000_000
        window_s = window_of(kind)
        number = int((now + self._clock.offset) // window_s)
        return newest >> count_bits(window_s) < number - 1
