"""The stage that counts a request at every level that limits it, in the order of WSO2 §11.1, and refuses what is over a limit.

What was taken at a level is given back where a later one refuses, so that refused requests use nothing up. Counters are looked
for once for each caller and kept with it; linking.py asks for the stage of an operation.
"""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.throttling import levels
from microgate.runtime.throttling.afterwards.dues import PLENTY, may_owe, owe
from microgate.runtime.throttling.choosing import custom
from microgate.runtime.throttling.counting.table import EPOCH
from microgate.runtime.throttling.limits import Part, quick_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import TypeAlias

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.throttling.context import ThrottlingContext
    from microgate.runtime.throttling.levels import Named
    from microgate.runtime.throttling.limits import Bound, Quick

    Decision: TypeAlias = Fault | Awaitable[Fault | None] | None

log = logging.getLogger("microgate.throttling")

MAX_REMEMBERED = 4_096  # tiers that nobody defines


class Callers:
    """The counters of one caller at one API, and what they were chosen by. `chosen` are those that depend on the request."""

    __slots__ = ("bounds", "chosen", "quick", "stamp")

    def __init__(self, parts: list[Part], stamp: int) -> None:
        self.bounds: tuple[Bound, ...] = tuple(bound for part in parts for bound in part.fixed)
        self.chosen = tuple(parts) if any(part.chooses for part in parts) else ()
        self.quick = None if self.chosen else quick_of(self.bounds)
        self.stamp = stamp  # of the table, see there


class Throttle:
    """The stage of one operation."""

    def __init__(self, context: ThrottlingContext, api: Api, operation: Operation) -> None:
        self._context = context
        self._table = context.table
        self._cells = context.table.cells
        self._api = api
        self._cost = operation.cost
        self._decisions = context.decisions
        self._moment = context.clock.monotonic
        self._operation = operation
        self._shared = context.settings.compatibility.shared_default_tier
        # A traffic manager has tiers of its own; what is counted while it is away has those of the project alone.
        self._knows_all_tiers = context.traffic_manager is None
        self._strangers = context.strangers.of(api.id)
        self._missing: set[str] = set()
        self._api_id = api.id
        self._own = Callers([], -1)  # the counters of the operation itself
        self._customs = custom.link(context, api, operation)
        self.owes = any(may_owe(policy, api, operation) for policy in context.plan.policies)

    @property
    def limits_something(self) -> bool:
        operation, api = self._operation, self._api
        if api.tier or operation.tier or self._customs:
            return True
        if operation.security.opened_by:
            return self._context.limit("unauthenticated", levels.UNAUTHENTICATED) is not None
        return self._context.has("subscription") or self._context.has("application")

    def __call__(self, exchange: Exchange) -> Decision:
        consumer, own, table = exchange.consumer, self._own, self._table
        callers: Callers | None = (
            self._strangers.get(exchange.client) if consumer is None else consumer.limits.get(self._api_id)
        )
        stamp = self._cells[EPOCH] + table.turns
        if callers is None or callers.stamp != stamp or own.stamp != stamp or not table.exclusive:
            return self._look_and_count(exchange)
        if own.quick is None or callers.quick is None:
            return self._count(exchange, own, callers)
        # The common way, written out: what `_take` does for counters of fixed windows alone.
        now, cost, cells, decisions = self._moment(), self._cost, self._cells, self._decisions
        least, tightest = PLENTY, None
        for cell, limit, window, others, admitted, bound in chain(own.quick, callers.quick):
            if now >= window.end:
                window.roll(now)
            base = window.base
            word = cells[cell]
            cells[cell] = word = (word if word > base else base) + cost  # noqa: FURB136 - `max` costs a call
            left = limit + base - word if others is None else limit  # they have this one's own among them
            if others is not None:
                for word in others.tolist():
                    if word > base:
                        left -= word - base
            if left < 0:
                cells[cell] -= cost
                self._undo(own.quick, callers.quick, bound)
                if bound.limit.soft or (others is not None and max(others) >= window.next):
                    return self._count(
                        exchange, own, callers
                    )  # it passes, or another worker is in the next window already
                self.exceed(bound, now, ())
                exchange.quota = (bound, left, now, ())
                return bound.limit.refuse(bound.counter, now, cost)
            decisions[admitted] += 1
            if left < least:
                least, tightest = left, bound
        if cells[EPOCH] + table.turns != stamp:
            # Meanwhile rows were let go of, or somebody began to count where this process does not look.
            self._undo(own.quick, callers.quick, None)
            return self._look_and_count(exchange)
        if tightest is not None:
            exchange.quota = (tightest, least, now, ())
        return None

    def _undo(self, first: Sequence[Quick], then: Sequence[Quick], refusing: Bound | None) -> None:
        for _, _, _, _, admitted, bound in chain(first, then):
            if bound is refusing:
                return
            bound.counter.give_back(self._cost)
            self._decisions[admitted] -= 1

    def _look_and_count(self, exchange: Exchange) -> Decision:
        """Where counters are not known yet, or this process has no column of its own."""
        table = self._table
        if table.exclusive or table.claim():
            return self._find_and_count(exchange)
        table.use_common()
        with table.locked():
            return self._find_and_count(exchange)

    def _find_and_count(self, exchange: Exchange) -> Decision:
        stamp = self._cells[EPOCH] + self._table.turns
        own = self._own
        if own.stamp != stamp:
            own = self._renew(stamp)
        consumer = exchange.consumer
        if consumer is None:
            stranger = self._strangers.get(exchange.client)
            if stranger is None or stranger.stamp != stamp:
                stranger = self._know_stranger(exchange.client)
            return self._count(exchange, own, stranger)
        callers: Callers | None = consumer.limits.get(self._api_id)
        if callers is not None and callers.stamp == stamp:
            return self._count(exchange, own, callers)
        found = self._know(consumer)
        return found if isinstance(found, Fault) else self._count(exchange, own, found)

    def _count(self, exchange: Exchange, own: Callers, callers: Callers) -> Decision:
        if own.chosen or callers.chosen or self._customs:
            return self._take(exchange, self._gather(exchange, own, callers), ())
        return self._take(exchange, own.bounds, callers.bounds)

    def _gather(self, exchange: Exchange, own: Callers, callers: Callers) -> list[Bound]:
        """The counters of a request, in the order in which they are asked (WSO2 §11.1)."""
        bounds: list[Bound] = []
        for one in (own, callers) if exchange.consumer is not None else (own,):
            bounds += one.bounds if not one.chosen else chain.from_iterable(map(_of(exchange), one.chosen))
        for policy in self._customs:
            bounds += policy.bounds(exchange)
        if exchange.consumer is None:
            bounds += callers.bounds if not callers.chosen else chain.from_iterable(map(_of(exchange), callers.chosen))
        return bounds

    def _take(self, exchange: Exchange, first: Sequence[Bound], then: Sequence[Bound]) -> Decision:
        now = self._moment()
        cost = self._cost
        decisions = self._decisions
        least, tightest = PLENTY, None
        over: tuple[Bound, ...] = ()
        for bound in chain(first, then):
            left = bound[0](now, cost)
            if left >= 0:
                decisions[bound[6]] += 1
            elif self.exceed(bound, now, over):
                over = (*over, bound)
            else:
                self._give_back(chain(first, then), bound, over)
                exchange.quota = (bound, left, now, over)
                return bound.limit.refuse(bound.counter, now, cost)
            if left < least:
                least, tightest = left, bound
        if tightest is not None:
            exchange.quota = (tightest, least, now, over)
        if self.owes:
            admitting = [bound for bound in chain(first, then) if bound not in over]
            owe(exchange, admitting, cost, now, self._context.watch)
        return None

    def exceed(self, bound: Bound, now: float, over: tuple[Bound, ...]) -> bool:
        """Account for a request for which a limit has nothing left; whether it passes all the same."""
        limit = bound.limit
        # The quota and the burst of a policy are one limit.
        if not over or all(other.limit is not limit for other in over):
            self._decisions[limit.over_cell] += 1
            if limit.soft:
                limit.tell_shadow(bound.name, now)
        return limit.soft

    def _give_back(self, asked: Iterable[Bound], refusing: Bound, over: tuple[Bound, ...]) -> None:
        """Those before the one that refuses get back what was taken; of the limits that it was over nothing was."""
        for bound in asked:
            if bound is refusing:
                return
            if not over or bound not in over:
                bound.counter.give_back(self._cost)

    # Finding counters.

    def _renew(self, stamp: int) -> Callers:
        """Rows were let go of, or this process writes another column: look for all counters anew."""
        api, operation = self._api, self._operation
        parts: list[Part] = []
        if api.tier:
            parts += self._part("api", levels.Named(api.tier, (api.id,)))
        if operation.tier:
            parts += self._part("resource", levels.Named(operation.tier, (api.id, operation.method, operation.path)))
        self._own = Callers(parts, stamp)
        if self.owes or self._customs or type(self) is not Throttle:
            self._own.quick = None
        self._context.known_keys.renew(stamp)
        return self._own

    def _part(self, level: str, named: Named) -> list[Part]:
        limit = self._context.limit(level, named.tier)
        return [] if limit is None else [Part(limit, named.key)]

    def _know_stranger(self, client: str) -> Callers:
        self._context.strangers.make_room()
        parts: list[Part] = []
        if self._context.settings.compatibility.unauthenticated_tier == "limits":
            parts = self._part("unauthenticated", levels.of_nobody(client, self._api))
        found = self._strangers[client] = Callers(parts, self._own.stamp)
        return found

    def _know(self, consumer: Consumer) -> Callers | Fault:
        parts: list[Part] = []
        named: list[tuple[str, Named | None]] = [
            ("subscription", levels.of_subscription(consumer, self._api, shared=self._shared)),
            ("application", levels.of_application(consumer)),
        ]
        for level, one in named:
            if one is None or one.tier == levels.UNLIMITED or not self._context.has(level):
                continue
            if self._context.limit(level, one.tier) is None and one.tier != levels.DEFAULT and self._knows_all_tiers:
                return self._miss(level, one.tier)
            parts += self._part(level, one)
        found = Callers(parts, self._own.stamp)
        consumer.limits[self._api_id] = found
        return found

    def _miss(self, level: str, tier: str) -> Fault:
        """A tier that came with the caller, which the project does not define: nobody knows what it allows."""
        if tier not in self._missing and len(self._missing) < MAX_REMEMBERED:
            self._missing.add(tier)
            log.error(
                "callers have the %s tier `%s`, which policies.yaml does not define: they are refused", level, tier
            )
        return Fault(faults.POLICY_MISSING, "throttle.policy_missing")


def _of(exchange: Exchange) -> Callable[[Part], tuple[Bound, ...]]:
    return lambda part: part.bounds(exchange)


def link(context: ThrottlingContext, api: Api, operation: Operation) -> Throttle | None:
    """The stage of an operation; None where nothing limits it."""
    make = Throttle if context.stores is None else context.stores.stage
    stage = make(context, api, operation)
    return stage if stage.limits_something else None
