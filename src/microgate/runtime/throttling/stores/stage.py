"""The stage of operations whose callers may be counted in a store: what is local decides first, then the store decides all that
is left in one call, and where it cannot be had the settings do.

In a cluster the limits of one request may lie on several nodes: all are asked at once, and those that took give back where
another refuses.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.stores.line import StoreError
from microgate.runtime.stores.slots import slot_of
from microgate.runtime.throttling.afterwards.dues import PLENTY, take_back
from microgate.runtime.throttling.counting.table import SHARING_AWAY
from microgate.runtime.throttling.stage import Throttle
from microgate.runtime.throttling.stores.counters import SharedCounter, StoredCounter
from microgate.runtime.throttling.stores.places import CLOSED, LOCAL
from microgate.runtime.throttling.stores.scripts import DECIDE, GIVE_BACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.stores.replies import Reply
    from microgate.runtime.stores.store import Store
    from microgate.runtime.throttling.context import ThrottlingContext
    from microgate.runtime.throttling.limits import Bound
    from microgate.runtime.throttling.stage import Decision
    from microgate.runtime.throttling.stores.placing import Stores

RETRY_AFTER = (b"Retry-After", b"1")
MAX_WAIT_MS = 400 * 86_400_000  # longer than any window


class StoreThrottle(Throttle):
    """The stage of one operation."""

    def __init__(self, context: ThrottlingContext, api: Api, operation: Operation, stores: Stores) -> None:
        super().__init__(context, api, operation)
        self._stores = stores

    def _take(self, exchange: Exchange, first: Sequence[Bound], then: Sequence[Bound]) -> Decision:
        near, stored, shares = _sorted(first, then)
        stores = self._stores
        if shares and stores.when_down != LOCAL and self._cells[SHARING_AWAY]:
            stores.count_absence(1)
            if stores.when_down == CLOSED:
                return _unavailable()
            near = [bound for bound in near if type(bound.counter) is not SharedCounter]
        refused = super()._take(exchange, near, ())
        if refused is not None or not stored:
            return refused
        if stores.store is None or not stores.store.up:
            return self._decide_alone(exchange, near, stored)
        return self._ask(exchange, near, stored, stores.store)

    async def _ask(self, exchange: Exchange, near: list[Bound], stored: list[Bound], store: Store) -> Fault | None:
        turns = self._table.turns
        try:
            verdicts = await _decide(store, [_counter(bound) for bound in stored], self._cost)
        except StoreError:
            return self._decide_alone(exchange, near, stored)
        self._stores.count_decision(1)
        now = monotonic()
        least, tightest = PLENTY, None
        over: tuple[Bound, ...] = ()
        if exchange.quota is not None:
            tightest, least, _, over = exchange.quota
        for bound, (verdict, wait_ms) in zip(stored, verdicts, strict=True):
            _counter(bound).tell_wait(now, wait_ms)
            left = max(-1, min(verdict, bound.counter.limit))  # a store may say anything
            if left >= 0:
                self._decisions[bound.cell] += 1
            elif self.exceed(bound, now, over):
                over = (*over, bound)
            else:
                self._return(exchange, near)
                exchange.quota = (bound, left, now, over)
                return bound.limit.refuse(bound.counter, now, self._cost)
            if left < least:
                least, tightest = left, bound
        if turns == self._table.turns:  # else the column is a successor's by now
            with self._table.locked():
                for bound in stored:
                    _counter(bound).local.take(now, self._cost)
        exchange.quota = (tightest, least, now, over)
        return None

    def _decide_alone(self, exchange: Exchange, near: list[Bound], stored: list[Bound]) -> Fault | None:
        """Without the store, as the settings say."""
        stores = self._stores
        stores.count_absence(1)
        if stores.when_down == CLOSED:
            self._return(exchange, near)
            return _unavailable()
        if stores.when_down != LOCAL:
            return None
        local = [bound._replace(counter=_counter(bound).local, take=_counter(bound).local.take) for bound in stored]
        quota = exchange.quota
        with self._table.locked():
            refused = super()._take(exchange, local, ())
        if refused is not None:
            told, exchange.quota = exchange.quota, quota
            self._return(exchange, near)
            exchange.quota = told
        elif quota is not None:
            least = min(quota, exchange.quota, key=itemgetter(1))
            exchange.quota = (*least[:3], (*quota[3], *exchange.quota[3]))
        assert refused is None or isinstance(refused, Fault)
        return refused

    def _return(self, exchange: Exchange, near: list[Bound]) -> None:
        """Give back what was taken here; of the limits that the request was over nothing was."""
        over = exchange.quota[3] if exchange.quota is not None else ()
        with self._table.locked():
            take_back(exchange, [bound for bound in near if bound not in over], self._cost)


def _sorted(first: Sequence[Bound], then: Sequence[Bound]) -> tuple[list[Bound], list[Bound], bool]:
    """What is counted here, what is counted in the store, and whether other gateways are told of some of the former."""
    near: list[Bound] = []
    stored: list[Bound] = []
    shares = False
    for bound in chain(first, then):
        kind = type(bound.counter)
        if kind is StoredCounter:
            stored.append(bound)
        else:
            near.append(bound)
            shares = shares or kind is SharedCounter
    return near, stored, shares


def _counter(bound: Bound) -> StoredCounter:
    counter = bound.counter
    assert isinstance(counter, StoredCounter)
    return counter


def _unavailable() -> Fault:
    return Fault(faults.LIMITS_UNAVAILABLE, headers=(RETRY_AFTER,))


async def _decide(store: Store, counters: list[StoredCounter], cost: int) -> list[tuple[int, int]]:
    """For each counter what is left, below zero where it is too little, and the milliseconds until there is more."""
    groups = _by_node(counters) if store.is_cluster else [counters]
    if len(groups) == 1:
        return _read(await _run(store, counters, cost), len(counters))
    replies = await asyncio.gather(*(_run(store, group, cost) for group in groups), return_exceptions=True)
    found: dict[StoredCounter, tuple[int, int]] = {}
    refused: set[int] = set()
    for position, (group, reply) in enumerate(zip(groups, replies, strict=True)):
        if isinstance(reply, BaseException):
            raise reply
        verdicts = _read(reply, len(group))
        found.update(zip(group, verdicts, strict=True))
        if any(left < 0 and not one.soft for one, (left, _) in zip(group, verdicts, strict=True)):
            refused.add(position)
    if refused:
        taken = [one for position, group in enumerate(groups) if position not in refused for one in group]
        returns = [store.run(GIVE_BACK, [one.key], one.arguments(cost)) for one in taken if found[one][0] >= 0]
        await asyncio.gather(*returns, return_exceptions=True)
    return [found[one] for one in counters]


def _run(store: Store, counters: list[StoredCounter], cost: int) -> Awaitable[Reply]:
    return store.run(DECIDE, [one.key for one in counters], [word for one in counters for word in one.arguments(cost)])


def _by_node(counters: list[StoredCounter]) -> list[list[StoredCounter]]:
    """Those whose keys have the same slot are decided at once; the others each on its own."""
    groups: dict[int, list[StoredCounter]] = {}
    for one in counters:
        groups.setdefault(slot_of(one.key), []).append(one)
    return list(groups.values())


def _read(reply: Reply, count: int) -> list[tuple[int, int]]:
    """The verdicts of an answer; raises StoreError where it is none."""
    if not isinstance(reply, list) or len(reply) != 2 * count:
        raise StoreError("it answers with garbage")
    found: list[tuple[int, int]] = []
    for left, wait_ms in zip(reply[::2], reply[1::2], strict=True):
        if not isinstance(left, int) or not isinstance(wait_ms, int):
            raise StoreError("it answers with garbage")
        found.append((left, min(max(0, wait_ms), MAX_WAIT_MS)))
    return found
