"""The process that does once what must happen once: its loop runs the jobs that the rooms offer, and nothing else.

It lists the jobs; what they do is in their rooms. Started by the supervisor; a job that dies is started anew.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.runtime import lifeline
from microgate.runtime.channel import StewardHub
from microgate.runtime.control import Drain
from microgate.runtime.event_loop import run
from microgate.runtime.lifeline import Orders
from microgate.runtime.observability import jobs as observability
from microgate.runtime.observability.metrics import Metrics
from microgate.runtime.security import keys

if TYPE_CHECKING:
    import mmap
    import socket

    from microgate.plan.model import Plan
    from microgate.runtime.channel import Switchboard
    from microgate.runtime.control import Job
    from microgate.runtime.lifeline import Lifeline
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
    admin: socket.socket | None


def list_jobs(desk: Desk) -> list[Job]:
    counted = Metrics(desk.metrics, desk.plan, desk.workers)
    return [
        *keys.jobs(desk.settings, counted.counter),
        *observability.jobs(desk.plan, desk.settings, desk.metrics, desk.admin),
    ]


def list_jobs_in_retirement(desk: Desk) -> list[Job]:
    """What remains to do once a new crew has taken over: to write the lines of the workers that finish."""
    return observability.jobs(desk.plan, desk.settings, desk.metrics, None)


class Steward:
    """Keeps jobs running over a hub."""

    def __init__(self, hub: Switchboard) -> None:
        self._hub = hub
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, jobs: list[Job]) -> None:
        """Start the jobs and give each the chance to subscribe."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep(job)) for job in jobs]
        await asyncio.sleep(0)

    async def _keep(self, job: Job) -> None:
        delay = RETRY_SECONDS
        while True:
            seat = self._hub.seat()
            try:
                await job(seat)
            except Exception:
                log.exception("a job of the steward failed and is started anew in %.1f s", delay)
            else:
                return
            finally:
                self._hub.leave(seat)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)

    def begin_drain(self) -> None:
        """Readiness fails from now on."""
        self._hub.deliver(-1, Drain())

    async def stop(self) -> None:
        """Cancel the jobs and wait for them to write what they hold."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSING_SECONDS)
        self._tasks = []


def serve(desk: Desk, ends: tuple[socket.socket, ...], line: Lifeline) -> None:
    """The life of the steward's process: to the order to stop, or to the death of the supervisor."""
    run(_live(desk, ends, line))


async def _live(desk: Desk, ends: tuple[socket.socket, ...], line: Lifeline) -> None:
    loop = asyncio.get_running_loop()
    hub = StewardHub(loop, ends)
    steward = Steward(hub)
    orders = Orders(line)
    await steward.start(list_jobs(desk))
    hub.open()
    line.tell(lifeline.SERVING)
    while (order := await orders.get()) not in {b"", lifeline.STOP}:
        if order == lifeline.DRAIN:
            steward.begin_drain()
            line.tell(lifeline.UNREADY)
        elif order == lifeline.RETIRE:
            await steward.stop()
            await steward.start(list_jobs_in_retirement(desk))
    hub.close()
    await steward.stop()
