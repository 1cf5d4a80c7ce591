"""Worker and steward in one loop, for systems without fork: slower and less robust than a crew, but it behaves the same.

supervisor.py chooses between the two; everything that serves is the code that a crew runs.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING, Any

from microgate.errors import MicrogateError
from microgate.runtime import steward, worker
from microgate.runtime.event_loop import run
from microgate.runtime.fixed_settings import FixedSettings
from microgate.runtime.local_channel import LocalSwitchboard
from microgate.runtime.observability import metrics
from microgate.runtime.premises import open_premises
from microgate.runtime.ready_file import write_ready_file
from microgate.runtime.shared_memory import make_region
from microgate.runtime.signals import HANDLED
from microgate.runtime.watched_files import WatchedFiles

if TYPE_CHECKING:
    import mmap
    from collections.abc import Coroutine

    from microgate.plan.model import Plan
    from microgate.runtime.generation import Generation
    from microgate.runtime.worker import Assemble
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.supervisor")

WATCH_SECONDS = 0.25


def serve_in_one_process(generation: Generation, assemble: Assemble) -> int:
    """Serve until told to stop; the exit code. Raises StartError, SettingsError or KeyMaterialError before it serves."""
    run(OneProcess(generation, assemble).live())
    return 0


class OneProcess:
    """The supervisor's work within the loop that serves."""

    def __init__(self, generation: Generation, assemble: Assemble) -> None:
        self._generation = generation
        self._premises = open_premises(generation.settings, assemble, 1)
        self._worker: worker.Worker | None = None
        self._steward: steward.Steward | None = None
        self._region: mmap.mmap  # what the worker counts in
        self._files = WatchedFiles(generation.watch) if generation.reload is not None else None
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._fixed = FixedSettings(generation.settings)
        self._retired: set[worker.Worker] = set()
        self._finishing: set[asyncio.Task[None]] = set()

    async def live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._switchboard = LocalSwitchboard(self._loop)
        for number in HANDLED:
            self._handle(number)
        try:
            await self._serve(self._generation.plan, self._generation.settings)
            if self._generation.ready_file is not None:
                write_ready_file(self._generation.ready_file, self._premises.listeners)
            names = ", ".join(listener.name for listener in self._premises.listeners.traffic)
            log.info("serving on %s in one process", names)
            watching = self._loop.create_task(self._watch())
            await self._stop.wait()
            watching.cancel()
            log.info("stopping: requests in flight may finish")
            await self._drain()
        finally:
            self._premises.close()

    def _handle(self, number: int) -> None:
        try:
            self._loop.add_signal_handler(number, self._on_signal, number)
        except NotImplementedError:
            signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self._on_signal, number))

    def _on_signal(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None):
            if self._worker is not None:
                self._worker.refresh()
        elif self._stop.is_set():
            self._hurry.set()
        else:
            self._stop.set()

    async def _serve(self, plan: Plan, settings: Settings) -> None:
        """Begin with the first generation, or swap to the next one; raises MicrogateError with the old one serving on."""
        premises = self._premises
        region = make_region("metrics", metrics.region_size(plan, 1))
        post = worker.Post(
            slot=0,
            workers=1,
            plan=plan,
            settings=settings,
            listeners=premises.listeners,
            tls=premises.tls,
            metrics=region,
            max_connections=premises.max_connections,
            assemble=premises.assemble,
            regions=premises.regions,
        )
        desk = steward.Desk(
            plan=plan,
            settings=settings,
            workers=1,
            metrics=region,
            ledger=premises.ledger,
            log_gate=premises.log_gate,
            admin=premises.listeners.admin_socket,
            regions=premises.regions,
        )
        channel = self._switchboard.channel()
        following = worker.Worker(post, channel)
        self._switchboard.connect(channel)
        premises.ledger.begin(plan, region, 1)
        successor = steward.Steward(self._switchboard)
        if self._steward is not None and self._worker is not None:
            await self._steward.stop()
            self._spawn(self._finish(self._worker, self._region))
        await successor.start(steward.list_jobs(desk))
        self._steward, self._worker, self._region = successor, following, region
        await following.start()
        self._switchboard.flush()
        await successor.lead(steward.list_leading_jobs(desk))

    async def _finish(self, before: worker.Worker, region: mmap.mmap) -> None:
        self._retired.add(before)
        await before.drain(successor=True)
        self._retired.discard(before)
        self._switchboard.flush()
        self._premises.ledger.end(region)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def _watch(self) -> None:
        reload, files = self._generation.reload, self._files
        if reload is None or files is None:
            return
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if not files.changed():
                continue
            try:
                following = await asyncio.to_thread(reload)
                if following is not None:
                    await self._serve(*following)
                    self._fixed.compare(following[1])
                    log.info("the new version serves")
            except MicrogateError as error:
                log.error("the new version cannot start, the running one stays: %s", error)  # noqa: TRY400 - no traceback

    async def _drain(self) -> None:
        """Readiness first, then the worker, then the steward, as a crew ends."""
        assert self._steward is not None
        assert self._worker is not None
        self._steward.begin_drain()
        self._spawn(self._worker.drain(successor=False))
        hurry = self._loop.create_task(self._hurry.wait())
        while self._finishing and not hurry.done():
            await asyncio.wait({*self._finishing, hurry}, return_when=asyncio.FIRST_COMPLETED)
        if hurry.done():
            log.warning("told to stop again: what is in flight is cut off")
            for serving in (self._worker, *self._retired):
                await serving.close()
        hurry.cancel()
        self._switchboard.flush()
        await self._steward.stop()
