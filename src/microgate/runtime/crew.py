"""The processes of one generation: a steward, a worker in each slot, and what they share. Forked and revived here.

When a crew begins and ends is the supervisor's decision; that a crew which ends does so in order and in time is this file's.
"""

from __future__ import annotations

import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import StartError
from microgate.runtime import channel, lifeline, steward, worker
from microgate.runtime.children import Child, fork
from microgate.runtime.observability import metrics
from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.plan.model import Plan
    from microgate.runtime.lifeline import Lifeline
    from microgate.runtime.premises import Premises
    from microgate.runtime.signals import Signals
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.supervisor")

STEWARD = -1  # its seat; workers sit at their slot

FIRM_SECONDS = 1.0  # who lived so long is started anew at once
MAX_BACKOFF_SECONDS = 5.0
# Over the grace period: for workers to hand over their last lines, then for the steward to write them; together below 1 s.
WORKER_MARGIN_SECONDS = 0.4
STEWARD_MARGIN_SECONDS = 0.4


class Crew:
    """Serves one generation. `established` once every process of it has served at the same time."""

    def __init__(self, plan: Plan, settings: Settings, premises: Premises, signals: Signals, *, leads: bool) -> None:
        """`leads`: it answers for the gateway from the start, because there is nobody before it."""
        self._plan = plan
        self._settings = settings
        self._premises = premises
        self._signals = signals
        try:
            self._pairs = channel.open_pairs(premises.slots)
            self._metrics = make_region("metrics", metrics.region_size(plan, premises.slots))
        except (OSError, ValueError) as error:
            raise StartError(f"cannot get memory and sockets for {premises.slots} workers: {error}") from error
        premises.ledger.begin(plan, self._metrics, premises.slots)
        self._due: dict[int, float] = {}
        self._quick_deaths: dict[int, int] = {}
        self._deadline = float("inf")  # who has not ended by then is killed
        self.children: dict[int, Child] = {}
        self._closing = False  # the workers have gone, the steward was told to stop
        self.established = False
        self.ending = False
        self.unready = False  # the steward has said that readiness fails
        self.leads = leads  # its steward has the admin listener

    # Beginning.

    def begin(self, strangers: list[Lifeline]) -> None:
        for seat in (STEWARD, *range(self._premises.slots)):
            self._start(seat, strangers)

    def _start(self, seat: int, strangers: list[Lifeline]) -> None:
        name = "the steward" if seat == STEWARD else f"worker {seat}"
        life = self._live_as_steward if seat == STEWARD else partial(self._live_as_worker, seat)
        try:
            self.children[seat] = fork(name, life, [*strangers, *self.lines], self._signals)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartError(f"cannot start {name}: {reason}", "check the limits on processes and memory") from error

    def _live_as_steward(self, line: Lifeline) -> None:
        listeners = self._premises.listeners
        listeners.keep(None)
        desk = steward.Desk(
            plan=self._plan,
            settings=self._settings,
            workers=self._premises.slots,
            metrics=self._metrics,
            ledger=self._premises.ledger,
            log_gate=self._premises.log_gate,
            admin=listeners.admin_socket,
            regions=self._premises.regions,
        )
        steward.serve(desk, tuple(pair.steward for pair in self._pairs), line, leads=self.leads)

    def _live_as_worker(self, slot: int, line: Lifeline) -> None:
        premises = self._premises
        premises.listeners.keep(slot)
        post = worker.Post(
            slot=slot,
            workers=premises.slots,
            plan=self._plan,
            settings=self._settings,
            listeners=premises.listeners,
            tls=premises.tls,
            metrics=self._metrics,
            max_connections=premises.max_connections,
            assemble=premises.assemble,
            regions=premises.regions,
        )
        worker.serve(post, self._pairs[slot].worker, line)

    # Living.

    @property
    def lines(self) -> list[Lifeline]:
        return [child.line for child in self.children.values()]

    @property
    def waits(self) -> bool:
        """Something is to be done at a time, see `on_time`."""
        return bool(self._due) or self.ending or not self.established

    def hear(self, seat: int) -> None:
        """Take what a child has said; raises StartError if the crew cannot begin to serve because of it."""
        child = self.children[seat]
        while (message := child.line.hear()) is not None:
            if not message:
                self._on_death(seat, child)
                return
            if message == lifeline.SERVING:
                child.serving = True
                complete = len(self.children) == self._premises.slots + 1
                if complete and all(child.serving for child in self.children.values()):
                    self.established = True
            elif message == lifeline.UNREADY:
                self.unready = True
            elif message == lifeline.RETIRED:
                self.leads = False
            else:
                child.failure = lifeline.failure(message) or child.failure

    def _on_death(self, seat: int, child: Child) -> None:
        del self.children[seat]
        how = child.bury()
        if seat == STEWARD:
            self.leads = self.leads and not self.ending
        else:
            metrics.Metrics(self._metrics, self._plan, seat).forget_present()
        if self.ending:
            return
        if not self.established:
            message, hint = child.failure or (f"{child.name} ended while it started: {how}", "")
            raise StartError(message, hint)
        now = monotonic()
        quick = 0 if now - child.started >= FIRM_SECONDS else self._quick_deaths.get(seat, 0) + 1
        self._quick_deaths[seat] = quick
        delay = min(0.025 * 2**quick, MAX_BACKOFF_SECONDS) if quick else 0.0
        reason = f"{how}: {child.failure[0]}" if child.failure else how
        log.error("%s (pid %d) ended: %s; it is started anew", child.name, child.pid, reason)
        self._due[seat] = now + delay

    def on_time(self, now: float, strangers: list[Lifeline]) -> None:
        """Revive who is due, and see to it that a crew which ends does."""
        for seat, due in list(self._due.items()):
            if due <= now and not self.ending:
                del self._due[seat]
                self._revive(seat, now, strangers)
        if not self.ending:
            return
        if self.has_workers:
            if now >= self._deadline:
                self.kill(self._worker_children())
        elif STEWARD in self.children:
            if not self._closing:
                self._closing = True
                self._deadline = now + STEWARD_MARGIN_SECONDS
                self.children[STEWARD].line.tell(lifeline.STOP)
            elif now >= self._deadline:
                self.kill(iter([self.children[STEWARD]]))

    def _revive(self, seat: int, now: float, strangers: list[Lifeline]) -> None:
        try:
            self._start(seat, strangers)
        except StartError as error:
            log.error("%s; it is tried again", error)  # noqa: TRY400 - the error is the system's
            self._due[seat] = now + MAX_BACKOFF_SECONDS

    # Ending.

    @property
    def has_workers(self) -> bool:
        return any(seat != STEWARD for seat in self.children)

    def _worker_children(self) -> Iterator[Child]:
        return (child for seat, child in self.children.items() if seat != STEWARD)

    def tell_workers(self, order: bytes) -> None:
        for child in self._worker_children():
            child.line.tell(order)

    def tell_steward(self, order: bytes) -> None:
        if STEWARD in self.children:
            self.children[STEWARD].line.tell(order)

    def lead(self) -> None:
        """Nobody else has the admin listener any more: it is this crew's."""
        self.leads = True
        self.tell_steward(lifeline.LEAD)

    def end(self, order: bytes) -> None:
        """Give the workers the order to finish, DRAIN or RETIRE; the steward follows once they have gone."""
        self.ending = True
        self._due.clear()
        grace_seconds = self._settings.runtime.grace_period_in_millis / 1000
        self._deadline = monotonic() + grace_seconds + WORKER_MARGIN_SECONDS
        self.tell_workers(order)

    def end_now(self) -> None:
        """Cut off what is in flight: workers have a moment to hand over its log lines, then the steward writes them."""
        self.ending = True
        self._due.clear()
        self._deadline = min(self._deadline, monotonic() + WORKER_MARGIN_SECONDS)
        self.tell_workers(lifeline.STOP)

    @staticmethod
    def kill(children: Iterator[Child]) -> None:
        for child in children:
            child.kill()

    def close(self) -> None:
        """Let go of what the processes shared, once they have ended."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._premises.ledger.end(self._metrics)
        self._metrics.close()

    def abandon(self) -> None:
        """Kill everybody at once: the crew has never served."""
        self.ending = True
        for child in self.children.values():
            child.kill()
            child.bury()
        self.children.clear()
        self.close()
