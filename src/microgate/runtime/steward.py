"""The process that does once what must happen once: its loop runs the jobs that the rooms offer, and nothing else.

It lists the jobs; what they do is in their rooms. Started by the supervisor; a job that dies is started anew.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.runtime import lifeline
from microgate.runtime.channel import StewardHub
from microgate.runtime.control import Drain
from microgate.runtime.event_loop import run
from microgate.runtime.lifeline import Orders
from microgate.runtime.messaging.brokers import Brokers
from microgate.runtime.observability import jobs as observability
from microgate.runtime.observability.metrics import Metrics
from microgate.runtime.security.tokens import certificates, keys

if TYPE_CHECKING:
    import mmap
    import socket
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.channel import Seat, Switchboard
    from microgate.runtime.control import Job
    from microgate.runtime.lifeline import Lifeline
    from microgate.runtime.observability.ledger import Ledger
    from microgate.runtime.observability.log_gate import LogGate
    from microgate.runtime.regions import Regions
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.steward")

RETRY_SECONDS = 0.1  # before the first new start of a job that died; doubles each time
MAX_RETRY_SECONDS = 10.0
CLOSING_SECONDS = 0.35  # the jobs write what they hold in this time


@dataclass(frozen=True, slots=True)
class Desk:
    """What a steward works with, made by the supervisor before the fork."""

    plan: Plan
    settings: Settings
    workers: int
    metrics: mmap.mmap
    ledger: Ledger
    log_gate: LogGate
    admin: socket.socket | None
    regions: Regions
    brokers: Brokers = field(default_factory=Brokers)


def list_jobs(desk: Desk) -> list[Job]:
    """What goes on while the generation has a worker."""
    counted = Metrics(desk.metrics, desk.plan, desk.workers)
    return [
        *keys.jobs(desk.settings, counted.counter),
        *_hub_jobs(desk),
        *certificates.jobs(desk.settings),
        *_blocking_jobs(desk),
        *_publishing_jobs(desk, counted),
        *observability.jobs(desk.plan, desk.settings, desk.metrics, desk.log_gate),
    ]


def _hub_jobs(desk: Desk) -> list[Job]:
    """Code that the settings do not ask for is not imported: it would be memory of every process."""
    if not desk.settings.apim.event_hub.enable:
        return []
    from microgate.runtime.security.subscriptions import event_hub

    return event_hub.jobs(desk.plan, desk.settings, desk.brokers)


def _blocking_jobs(desk: Desk) -> list[Job]:
    if not desk.settings.throttling.blocking_file:
        return []
    from microgate.runtime.throttling.blocks import blocking_file

    return blocking_file.jobs(desk.settings)


def list_leading_jobs(desk: Desk) -> list[Job]:
    """What only the generation does that answers for the gateway."""
    waits, jobs = _revocation_jobs(desk)
    return [
        *observability.leading_jobs(desk.plan, desk.metrics, desk.ledger, desk.admin, waits),
        *jobs,
        *_limit_jobs(desk),
        *_following_jobs(desk),
    ]


def _revocation_jobs(desk: Desk) -> tuple[Callable[[], str], list[Job]]:
    """What the gateway has to wait for before it is ready, and the work."""
    memory = desk.regions.revocations
    if memory is None or not desk.settings.revocation.in_use:
        return str, []
    from microgate.runtime.security.revocation import jobs as revocation

    counted = Metrics(desk.metrics, desk.plan, desk.workers)
    waits = revocation.unready(desk.settings, memory)
    return waits, revocation.jobs(desk.plan, desk.settings, memory, desk.brokers, counted.counter, counted.gauge)


def _limit_jobs(desk: Desk) -> list[Job]:
    if desk.regions.limits is None or not desk.plan.policies:
        return []
    from microgate.runtime.throttling import jobs as throttling

    counted = Metrics(desk.metrics, desk.plan, desk.workers)
    return throttling.jobs(desk.plan, desk.settings, desk.regions, counted)


def _publishing_jobs(desk: Desk, counted: Metrics) -> list[Job]:
    if desk.regions.decisions is None:
        return []
    from microgate.runtime import asked_services
    from microgate.runtime.throttling.traffic_manager import jobs as traffic_manager

    return traffic_manager.publishing_jobs(asked_services.event_receiver(desk.settings), counted.counter)


def _following_jobs(desk: Desk) -> list[Job]:
    memory = desk.regions.decisions
    if memory is None:
        return []
    from microgate.runtime import asked_services
    from microgate.runtime.throttling.traffic_manager import jobs as traffic_manager

    counted = Metrics(desk.metrics, desk.plan, desk.workers)
    retriever = asked_services.data_retriever(desk.settings)
    return traffic_manager.following_jobs(desk.settings, memory, desk.brokers, retriever, counted)


class Steward:
    """Keeps jobs running over a hub; those of `lead` end with `retire`, all with `stop`."""

    def __init__(self, hub: Switchboard) -> None:
        self._hub = hub
        self._tasks: list[asyncio.Task[None]] = []
        self._leading: list[asyncio.Task[None]] = []
        self._seats: set[Seat] = set()

    async def start(self, jobs: list[Job]) -> None:
        """Start the jobs and give each the chance to subscribe."""
        self._tasks += await self._start(jobs)

    async def lead(self, jobs: list[Job]) -> None:
        """Start jobs that a successor takes over."""
        self._leading += await self._start(jobs)

    async def _start(self, jobs: list[Job]) -> list[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._keep(job)) for job in jobs]
        await asyncio.sleep(0)
        return tasks

    async def _keep(self, job: Job) -> None:
        delay = RETRY_SECONDS
        while True:
            seat = self._hub.seat()
            self._seats.add(seat)
            try:
                await job(seat)
            except Exception:
                log.exception("a job of the steward failed and is started anew in %.1f s", delay)
            else:
                return
            finally:
                self._leave(seat)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)

    def begin_drain(self) -> None:
        """Readiness fails from now on."""
        self._hub.deliver(-1, Drain())

    def _leave(self, seat: Seat) -> None:
        if seat in self._seats:
            self._seats.remove(seat)
            self._hub.leave(seat)

    async def retire(self) -> None:
        """End the leading jobs: a successor leads."""
        tasks, self._leading = self._leading, []
        await self._end(tasks)

    async def stop(self) -> None:
        """Cancel the jobs and wait for them to write what they hold; what comes from now on is the successor's."""
        for seat in tuple(self._seats):
            self._leave(seat)
        tasks, self._tasks, self._leading = [*self._tasks, *self._leading], [], []
        await self._end(tasks)

    @staticmethod
    async def _end(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING_SECONDS)


def serve(desk: Desk, ends: tuple[socket.socket, ...], line: Lifeline, *, leads: bool) -> None:
    """The life of the steward's process: to the order to stop, or to the death of the supervisor.

    One that does not lead waits for the order to, because until then another steward answers for the gateway.
    """
    run(_live(desk, ends, line, leads=leads))


async def _live(desk: Desk, ends: tuple[socket.socket, ...], line: Lifeline, *, leads: bool) -> None:
    loop = asyncio.get_running_loop()
    hub = StewardHub(loop, ends)
    steward = Steward(hub)
    orders = Orders(line)
    await steward.start(list_jobs(desk))
    if leads:
        await steward.lead(list_leading_jobs(desk))
    hub.open()
    line.tell(lifeline.SERVING)
    while (order := await orders.get()) not in {b"", lifeline.STOP}:
        if order == lifeline.DRAIN:
            steward.begin_drain()
            line.tell(lifeline.UNREADY)
        elif order == lifeline.LEAD:
            await steward.lead(list_leading_jobs(desk))
        elif order == lifeline.RETIRE:
            await steward.retire()
            line.tell(lifeline.RETIRED)
    hub.close()
    await steward.stop()
