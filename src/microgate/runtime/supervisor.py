"""The process that a user starts: it opens what is shared, forks the crew, waits, and ends it in order.

It has no event loop, no thread, no network and runs no code of users, so that a fork is always safe and nothing that serves
can take it down. The command line calls `serve`.
"""

from __future__ import annotations

import gc
import logging
import select
import signal
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import MicrogateError, StartError
from microgate.runtime import capacity, idle_code, lifeline
from microgate.runtime.crew import Crew
from microgate.runtime.fixed_settings import FixedSettings
from microgate.runtime.generation import Generation
from microgate.runtime.observability import jobs as observability
from microgate.runtime.observability import logs
from microgate.runtime.premises import can_fork, open_premises
from microgate.runtime.ready_file import write_ready_file
from microgate.runtime.security import context as security
from microgate.runtime.signals import Signals
from microgate.runtime.throttling import jobs as throttling
from microgate.runtime.watched_files import WatchedFiles

if TYPE_CHECKING:
    from microgate.plan.model import Plan
    from microgate.runtime.lifeline import Lifeline
    from microgate.runtime.worker import Assemble
    from microgate.settings.model import Settings

__all__ = ["Generation", "serve"]

log = logging.getLogger("microgate.supervisor")

TICK_SECONDS = 0.02  # while something is due
WATCH_SECONDS = 0.25  # between two looks at a project that is being developed
UNREADY_SECONDS = 0.25  # for the steward to let readiness fail before the workers stop accepting
HANDOVER_SECONDS = 0.5  # for the old steward to let go of the admin listener


def serve(generation: Generation, assemble: Assemble | None = None, *, fork: bool | None = None) -> int:
    """Serve until told to stop; the exit code. Raises StartError, SettingsError or KeyMaterialError before it serves.

    `fork` False keeps everything in one process, as where the system leaves no choice.
    """
    logs.configure(generation.settings)
    observability.prove(generation.settings)
    security.prove(generation.settings, generation.plan)
    throttling.prove(generation.settings, generation.plan)
    if assemble is None:
        from microgate.runtime.assembly import assemble as assemble_gateway

        assemble = assemble_gateway
    if can_fork() if fork is None else fork:
        return Supervisor(generation, assemble).run()
    from microgate.runtime.one_process import serve_in_one_process

    return serve_in_one_process(generation, assemble)


class Supervisor:
    """Listeners, signals and crews: the last one of `_crews` serves or is about to, those before it finish."""

    def __init__(self, generation: Generation, assemble: Assemble) -> None:
        slots = generation.settings.runtime.workers or capacity.usable_cpus()
        self._generation = generation
        self._premises = open_premises(generation.settings, assemble, slots)
        self._listeners = self._premises.listeners
        self._signals = Signals()
        self._crews: list[Crew] = []
        self._coming: Crew | None = None  # a successor that does not serve yet
        self._fixed = FixedSettings(generation.settings)
        self._heir: Crew | None = None  # serves, and will have the admin listener once the crew before it lets go
        self._lead_by = 0.0  # by then at the latest
        self._watch = WatchedFiles(generation.watch) if generation.reload is not None else None
        self._look_at = 0.0
        self._stopping = False
        self._unready_by = float("inf")
        self._announced = False

    def run(self) -> int:
        try:
            self._begin_crew(self._generation.plan, self._generation.settings)
            while self._crews:
                self._wait()
        finally:
            for crew in self._crews:
                crew.abandon()
            self._premises.close()
            self._signals.restore()
        return 0

    # Waiting.

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._signals.fileno(), select.POLLIN)
        seats: dict[int, tuple[Crew, int]] = {}
        for crew in self._crews:
            for seat, child in crew.children.items():
                poll.register(child.line.fileno(), select.POLLIN)
                seats[child.line.fileno()] = (crew, seat)
        for descriptor, _ in poll.poll(self._patience_ms()):
            if descriptor in seats:
                self._hear(*seats[descriptor])
        for number in self._signals.take():
            self._on_signal(number)
        self._on_time(monotonic())

    def _patience_ms(self) -> int | None:
        if self._stopping or any(crew.waits for crew in self._crews):
            return int(TICK_SECONDS * 1000)
        return int(WATCH_SECONDS * 1000) if self._watch is not None else None

    def _hear(self, crew: Crew, seat: int) -> None:
        if seat not in crew.children:
            return  # abandoned since the poll
        try:
            crew.hear(seat)
        except StartError as error:
            if crew is not self._coming or len(self._crews) == 1:
                raise
            log.error("the new version cannot start, the running one stays: %s", error)  # noqa: TRY400 - no traceback
            self._abandon_coming()
            return
        if crew is self._coming and crew.established:
            self._take_over(crew)

    def _on_time(self, now: float) -> None:
        if self._stopping:
            self._go_on_stopping(now)
        for crew in list(self._crews):
            crew.on_time(now, self._lines())
            if crew.ending and not crew.children:
                self._crews.remove(crew)
                crew.close()
        self._hand_over(now)
        if self._watch is not None and not self._stopping and now >= self._look_at:
            self._look_at = now + WATCH_SECONDS
            if self._coming is None and self._watch.changed():
                self._reload()

    def _lines(self) -> list[Lifeline]:
        return [line for crew in self._crews for line in crew.lines]

    # Beginning and swapping.

    def _begin_crew(self, plan: Plan, settings: Settings) -> None:
        crew = Crew(plan, settings, self._premises, self._signals, leads=not self._crews)
        strangers = self._lines()
        self._crews.append(crew)
        self._coming = crew
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # what is shared with the children stays so: the collector would write to all of it
        crew.begin(strangers)

    def _take_over(self, crew: Crew) -> None:
        """The new crew serves: those before it finish, and leave it the listeners."""
        self._coming = None
        for old in self._crews:
            if old is not crew and not old.ending:
                old.tell_steward(lifeline.RETIRE)
                old.end(lifeline.RETIRE)
        self._heir, self._lead_by = crew, monotonic() + HANDOVER_SECONDS
        idle_code.let_go()
        if self._announced:
            log.info("the new version serves")
            return
        self._announced = True
        names = ", ".join(listener.name for listener in self._listeners.traffic)
        slots = self._premises.slots
        log.info("serving on %s with %d worker%s", names, slots, "" if slots == 1 else "s")
        if self._generation.ready_file is not None:
            write_ready_file(self._generation.ready_file, self._listeners)

    def _hand_over(self, now: float) -> None:
        """Let the heir lead once no other does: a scraper must not meet both, the older one knows less."""
        heir = self._heir
        if heir is None or (now < self._lead_by and any(crew.leads for crew in self._crews if crew is not heir)):
            return
        self._heir = None
        if not heir.leads:
            heir.lead()

    def _reload(self) -> None:
        assert self._generation.reload is not None
        try:
            following = self._generation.reload()
            if following is not None:
                self._begin_crew(*following)
                self._fixed.compare(following[1])
        except (MicrogateError, OSError) as error:
            log.error("the new version cannot start, the running one stays: %s", error)  # noqa: TRY400 - no traceback
            if self._coming is not None:
                self._abandon_coming()

    def _abandon_coming(self) -> None:
        assert self._coming is not None
        self._coming.abandon()
        self._crews.remove(self._coming)
        self._coming = None

    # Stopping.

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            for crew in self._crews:
                crew.tell_workers(lifeline.REFRESH)
        elif not self._stopping:
            self._begin_to_stop()
        else:
            log.warning("told to stop again: what is in flight is cut off")
            for crew in self._crews:
                crew.end_now()

    def _begin_to_stop(self) -> None:
        self._stopping = True
        if self._coming is not None:
            self._abandon_coming()
        log.info("stopping: requests in flight may finish")
        self._hand_over(self._lead_by)
        self._unready_by = monotonic() + UNREADY_SECONDS
        for crew in self._crews:
            crew.tell_steward(lifeline.DRAIN)

    def _go_on_stopping(self, now: float) -> None:
        """Once readiness fails, or the steward does not answer, the workers stop accepting and finish."""
        serving = [crew for crew in self._crews if not crew.ending]
        if now < self._unready_by and not all(crew.unready for crew in serving):
            return
        if serving:
            self._listeners.close_traffic()
        for crew in serving:
            crew.end(lifeline.DRAIN)
