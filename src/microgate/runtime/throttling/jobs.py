"""What must be done once for all workers of limits, as the steward does it, and what must be proved before anything serves."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.keeper import InFlightKeeper, Keeper

if TYPE_CHECKING:
    from microgate.plan.model import Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.observability.metrics import Metrics
    from microgate.runtime.regions import Regions
    from microgate.runtime.throttling.counting.table import LimitRegion
    from microgate.settings.model import Settings


def jobs(plan: Plan, settings: Settings, regions: Regions, metrics: Metrics) -> list[Job]:
    """The steward's work, while the project limits anything."""
    region = regions.limits
    assert region is not None
    keeper = Keeper(region, metrics)
    path = settings.throttling.state_file
    keeping: list[Job] = [partial(_keep_file, region, path)] if path else []
    if regions.in_flight is not None:
        keeping.append(InFlightKeeper(regions.in_flight, metrics).keep_room)
    return [keeper.keep_time, keeper.keep_room, *keeping, *_sharing_jobs(plan, settings, region, metrics)]


async def _keep_file(region: LimitRegion, path: str, _hub: Hub) -> None:
    from microgate.runtime.throttling.counting.state_file import WRITE_SECONDS, StateFile

    file = StateFile(region, path)
    while True:
        await asyncio.sleep(WRITE_SECONDS)
        await asyncio.to_thread(file.write)


def prove(settings: Settings, plan: Plan) -> None:
    """Raise SettingsError or KeyMaterialError where counts cannot be shared or kept, or callers not be shut out."""
    if any(policy.store != "node" for policy in plan.policies):
        from microgate.runtime.throttling.stores import places

        places.prove(plan, settings.throttling.store)
    if settings.throttling.state_file:
        from microgate.runtime.throttling.counting import state_file

        state_file.prove(settings.throttling.state_file)
    if settings.throttling.blocking_file:
        from microgate.runtime.throttling.blocks import blocking_file

        blocking_file.prove(settings)
    if settings.throttling.enabled_global_tm_event_publishing:
        from microgate.runtime.throttling.traffic_manager import jobs as traffic_manager

        traffic_manager.prove(settings)


def _sharing_jobs(plan: Plan, settings: Settings, region: LimitRegion, metrics: Metrics) -> list[Job]:
    if all(policy.store != "fast" for policy in plan.policies):
        return []
    from microgate.runtime.throttling.stores import sharing

    return sharing.jobs(region, settings.throttling.store, metrics)
