"""What a worker takes on at a time: refusals for want of room, before anything dear is done for a request.

The bound on the whole worker is held in assembly, where exchanges in flight are counted anyway; those on operations are
stages. What one caller may have in flight is a policy and not here.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.throttling.overload.adaptive import AdaptiveLimit

if TYPE_CHECKING:
    from asyncio import TimerHandle
    from collections.abc import Callable

    from microgate.plan import model
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import Operation, Stage
    from microgate.settings.overload import Overload as Bounds

    # From the name of a gauge to the function that changes it.
    Meter = Callable[[str], Callable[[int], None]]

log = logging.getLogger("microgate.overload")

WORKER = "overload.worker"
OPERATION = "overload.operation"
ADAPTIVE = "overload.adaptive"

UNBOUNDED = 1 << 62
QUIET_SECONDS = 2.0  # without a refusal, until a worker calls itself normal again
FIRST_STATUS_OF_FAILURES = 400  # how fast an error comes says nothing of how fast an answer would

_WORKER_FULL = Fault(faults.OVERLOAD, WORKER)


class Overload:
    """The bounds of one worker, and what it says when it meets them."""

    def __init__(self, bounds: Bounds, gauge: Meter) -> None:
        self._bounds = bounds
        self.max_in_flight = bounds.max_in_flight or UNBOUNDED
        self._limit_gauge = gauge("adaptive_limits")
        self.alarm = Alarm(gauge("overloaded_workers"))

    def refuse(self, exchange: Exchange) -> None:
        """Answer a request for which the worker has no room."""
        self.alarm.on_refusal(exchange.operation.labels.route, WORKER, self.max_in_flight)
        exchange.fail(_WORKER_FULL)

    def link(self, operation: model.Operation, route: str) -> Room | None:
        """What bounds an operation; None where nothing does."""
        most = operation.max_in_flight
        if most is None:
            most = self._bounds.max_in_flight_per_operation
        if not most and not self._bounds.adaptive:
            return None
        name = f"{operation.method} {route}"
        fixed = FixedRoom(most, name, self.alarm) if most else None
        if not self._bounds.adaptive:
            return fixed
        limit = AdaptiveLimit(self._bounds.latency_target_in_millis / 1_000, self._limit_gauge, monotonic())
        adaptive = AdaptiveRoom(limit, name, self.alarm)
        return adaptive if fixed is None else BothRooms(fixed, adaptive)

    def close(self) -> None:
        self.alarm.close()


class Alarm:
    """Says once that a worker refuses requests, and once that it no longer does."""

    def __init__(self, gauge: Callable[[int], None]) -> None:
        self._gauge = gauge
        self._timer: TimerHandle | None = None
        self._refused = 0
        self._seen = 0
        self._since = 0.0

    def on_refusal(self, name: str, reason: str, limit: int) -> None:
        self._refused += 1
        if self._timer is None:
            log.warning("overloaded, requests are refused: first %s, with %d in flight (%s)", name, limit, reason)
            self._gauge(1)
            self._since = monotonic()
            self._seen = self._refused
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._look)

    def _look(self) -> None:
        if self._seen != self._refused:
            self._seen = self._refused
            self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._look)
            return
        seconds = monotonic() - self._since
        log.warning("no longer overloaded: %d requests were refused in %.1f s", self._refused, seconds)
        self._gauge(-1)
        self._timer = None
        self._refused = 0

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._gauge(-1)


class FixedRoom:
    """So many exchanges of an operation at a time, from their heads to the ends of their answers."""

    def __init__(self, most: int, name: str, alarm: Alarm) -> None:
        # A set, because leaving it twice or without having entered does no harm, whatever way an exchange ends.
        self._inside: set[Exchange] = set()
        self._most = most
        self._name = name
        self._alarm = alarm

    def stage(self) -> Stage:
        inside, most, name, alarm = self._inside, self._most, self._name, self._alarm
        enter, full = inside.add, Fault(faults.OVERLOAD, OPERATION)

        def take_place(exchange: Exchange) -> Fault | None:
            if len(inside) >= most:
                alarm.on_refusal(name, OPERATION, most)
                return full
            enter(exchange)
            return None

        return take_place

    def attach(self, linked: Operation) -> None:
        linked.end_hooks = (*linked.end_hooks, self._inside.discard)


class AdaptiveRoom:
    """As many exchanges as an adaptive limit has it, from their heads to the heads of their answers.

    An answer that streams for an hour takes no place and has been no slower for it.
    """

    def __init__(self, limit: AdaptiveLimit, name: str, alarm: Alarm) -> None:
        self._waiting: set[Exchange] = set()
        self._limit = limit
        self._name = name
        self._alarm = alarm

    def stage(self) -> Stage:
        waiting, limit, name, alarm = self._waiting, self._limit, self._name, self._alarm
        enter, full = waiting.add, Fault(faults.OVERLOAD, ADAPTIVE)

        def take_place(exchange: Exchange) -> Fault | None:
            if len(waiting) >= limit.now:
                limit.refused = True
                alarm.on_refusal(name, ADAPTIVE, limit.now)
                return full
            enter(exchange)
            return None

        return take_place

    def attach(self, linked: Operation) -> None:
        linked.answer_stages = (*linked.answer_stages, self._on_head)
        linked.end_hooks = (*linked.end_hooks, self._on_end)

    def _on_head(self, exchange: Exchange, _: Lines) -> None:
        waiting = self._waiting
        if exchange not in waiting:
            return
        answered = exchange.answer_head_at
        if not answered:
            return  # an answer of the gateway's own, which ends the exchange too
        waiting.remove(exchange)
        if exchange.status < FIRST_STATUS_OF_FAILURES:
            self._limit.answered(answered - exchange.upstream_started, answered, len(waiting))

    def _on_end(self, exchange: Exchange) -> None:
        """What is still waiting has not been answered by the backend."""
        waiting = self._waiting
        if exchange not in waiting:
            return
        waiting.remove(exchange)
        asked, fault = exchange.upstream_started, exchange.fault
        if asked and fault is not None and fault.kind in _UNANSWERED:
            now = monotonic()
            self._limit.gave_up(now - asked, now, len(waiting))


# A backend that refuses connections is quick about it, which is no sign of being fast or full.
_UNANSWERED = (faults.BACKEND_TIMEOUT, faults.BACKEND_BUSY, faults.CLIENT_ABORT)


class BothRooms:
    """An operation with a bound of its own in a worker that adapts."""

    def __init__(self, fixed: FixedRoom, adaptive: AdaptiveRoom) -> None:
        self._fixed = fixed
        self._adaptive = adaptive

    def stage(self) -> Stage:
        first, second = self._fixed.stage(), self._adaptive.stage()
        return lambda exchange: first(exchange) or second(exchange)

    def attach(self, linked: Operation) -> None:
        self._fixed.attach(linked)
        self._adaptive.attach(linked)


Room = FixedRoom | AdaptiveRoom | BothRooms
