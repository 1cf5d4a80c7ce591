"""A policy, linked in one worker: which counters it has for a key, and what is answered where they say no."""

from __future__ import annotations

import logging
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.throttling.afterwards.bandwidth import Allotment, Pace
from microgate.runtime.throttling.afterwards.weights import Weighing, weights_of
from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.counting.in_flight import InFlight, InFlightCounter, open_in_flight
from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.counting.windows import FixedCounter, SlidingCounter, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Allowance, Bandwidth, Policy
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.throttling.afterwards.dues import Due
    from microgate.runtime.throttling.afterwards.weights import Adjustable
    from microgate.runtime.throttling.counting.clock import LimitClock
    from microgate.runtime.throttling.counting.table import LimitRegion, Table
    from microgate.runtime.throttling.stores.counters import SharedCounter, StoredCounter
    from microgate.runtime.throttling.stores.placing import Stores

OWN_CAPACITY = 10_000  # keys, where no memory is shared

Single: TypeAlias = FixedCounter | SlidingCounter | BucketCounter  # one that counts on this gateway

log = logging.getLogger("microgate.throttling")

TELL_SECONDS = 60.0
_VERDICTS = ("admitted", "refused", "over", "shadow")  # in the order of their words in the metrics

# Who refuses at a level (WSO2 §7.3). Nobody subscribes to what is open, so its limit speaks as a subscription's.
KINDS = {
    "api": faults.THROTTLED_API,
    "resource": faults.THROTTLED_RESOURCE,
    "subscription": faults.THROTTLED_SUBSCRIPTION,
    "application": faults.THROTTLED_APPLICATION,
    "custom": faults.THROTTLED_CUSTOM,
    "unauthenticated": faults.THROTTLED_SUBSCRIPTION,
}


class Counter(Protocol):
    """What a key has used. `now` is of the monotonic clock, in seconds."""

    limit: int

    def take(self, now: float, cost: int) -> int:
        """What is left after taking `cost`; below zero where nothing was taken because it is more than is left."""

    def give_back(self, cost: int) -> None:
        """Undo a `take` whose request was refused by another counter."""

    def wait_s(self, now: float, cost: int = 1) -> float:
        """Seconds until there is as much as a request costs."""


class _Made(NamedTuple):
    """A counter of an allowance, as it is bound."""

    counter: Counter
    terms: bytes  # parameters of its RateLimit-Policy field
    due: Due | None


class Bound(NamedTuple):
    """A counter of one key with the limit that it serves; `take` is the counter's own."""

    take: Callable[[float, int], int]
    counter: Counter
    limit: Limit
    told: bytes  # the name in RateLimit fields, as a structured string
    policy_field: bytes  # the whole RateLimit-Policy line
    name: str  # of the policy, with that of its condition group
    cell: int  # of the metrics, counts what it admits
    due: Due | None = None  # what it wants of an exchange once all have admitted it


# What the common way needs of a counter of fixed windows: its own cell, its limit, its window, the cells of all (None where
# nobody else writes any), the cell of the metrics, and the whole.
Quick: TypeAlias = "tuple[int, int, Window, memoryview[int] | None, int, Bound]"


def quick_of(bounds: tuple[Bound, ...]) -> tuple[Quick, ...] | None:
    """The counters for the common way; None where one of them is of another kind, or has more to do."""
    found: list[Quick] = []
    for bound in bounds:
        counter = bound.counter
        if type(counter) is not FixedCounter or bound.due is not None:
            return None
        found.append((counter.own, counter.limit, counter.window, counter.others, bound.cell, bound))
    return tuple(found)


class Counting:
    """What all limits of a worker count in."""

    def __init__(self, table: Table, clock: LimitClock, in_flight: LimitRegion | None = None) -> None:
        """`in_flight` is None where nothing is shared."""
        self.table = table
        self._clock = clock
        self._in_flight = in_flight
        self._windows: dict[int, Window] = {}
        self.stores: Stores | None = None  # where counts are shared with other gateways
        self.unread_cell = 0  # of the metrics, for what is not told to anybody

    @cached_property
    def in_flight(self) -> InFlight:
        """Made where a policy needs it: a column is for those who use it."""
        return InFlight(self._in_flight or open_in_flight(1, OWN_CAPACITY))

    def leave(self) -> None:
        """Nothing is in flight here any more."""
        if "in_flight" in self.__dict__:
            self.in_flight.leave()

    def window(self, length_s: int) -> Window:
        """The one window of a length: whoever counts in it moves it on for all."""
        found = self._windows.get(length_s)
        if found is None:
            found = self._windows[length_s] = Window(length_s, self._clock)
        return found


class Limit:
    """A policy at one level. `soft` limits refuse nobody: what is over them passes, and it is said so.

    `cell` is the first of its words in the metrics; `verdict` is what becomes of a request for which nothing is left.
    """

    def __init__(self, policy: Policy, level: str, counting: Counting, cell: int) -> None:
        self.policy = policy
        self.level = level
        self.kind = KINDS[level]
        self.reason = f"throttle.{level}"
        self.soft = policy.shadow or (level == "subscription" and not policy.stop_on_quota)
        self.verdict = "shadow" if policy.shadow else "over" if self.soft else "refused"
        self.over_cell = cell + _VERDICTS.index(self.verdict)
        self._cell = cell
        self._counting = counting
        self._silent_until = 0.0
        self._weights = weights_of(policy)
        self.choose: Callable[[Exchange], int] | None = None
        if policy.groups:
            from microgate.runtime.throttling.choosing import conditions

            self.choose = conditions.compile(policy.groups)

    def bind(self, key: tuple[str, ...], group: int = -1) -> tuple[Bound, ...]:
        """The counters of a key, those of a condition group where `group` is its position."""
        policy = self.policy
        chosen = policy.groups[group] if group >= 0 else None
        name = policy.name if chosen is None else f"{policy.name}.{chosen.name}"
        parts = (self.level, "" if chosen is None else chosen.name, *key)
        allowance = policy.allowance if chosen is None else chosen.allowance
        made = self._make(allowance, parts)
        # What all counters of a policy admit is counted once, with the last of them.
        cells = [self._counting.unread_cell] * (len(made) - 1) + [self._cell]
        return tuple(self._bind_one(one, name, cell) for one, cell in zip(made, cells, strict=False))

    def tell_shadow(self, name: str, now: float) -> None:
        """Say in the log that a policy would refuse now: once, and again after a minute."""
        if self.policy.shadow and now >= self._silent_until:
            self._silent_until = now + TELL_SECONDS
            log.warning("%s policy `%s` would refuse requests, were it not in shadow", self.level, name)

    def _make(self, allowance: Allowance, parts: tuple[str, ...]) -> list[_Made]:
        table = self._counting.table
        found: list[_Made] = []
        quota, burst = allowance.quota, allowance.burst
        if quota is not None:
            form = SlidingCounter if quota.sliding else FixedCounter
            key = digest("sliding" if quota.sliding else "fixed", str(quota.window_s), *parts)
            counter = form(table, key, quota.count, self._counting.window(quota.window_s))
            placed = self._placed(counter, key)
            found.append(_Made(placed, b";w=%d" % quota.window_s, self._weighing(placed)))
        if burst is not None:
            key = digest("burst", str(burst.size), str(burst.count), str(burst.window_s), *parts)
            bucket = BucketCounter(table, key, burst.size, burst.count, burst.window_s)
            placed = self._placed(bucket, key)
            found.append(_Made(placed, b";w=%d" % burst.window_s, self._weighing(placed)))
        if allowance.concurrency is not None:
            key = digest("in flight", *parts)
            places = InFlightCounter(self._counting.in_flight, key, allowance.concurrency)
            found.append(_Made(places, b';qu="concurrent-requests"', places))
        if allowance.bandwidth is not None:
            meter = self._meter(allowance.bandwidth, parts)
            found.append(_Made(meter, b';w=%d;qu="content-bytes"' % allowance.bandwidth.window_s, meter))
        return found

    def _meter(self, bandwidth: Bandwidth, parts: tuple[str, ...]) -> Allotment | Pace:
        table = self._counting.table
        form = "pace" if bandwidth.slows else "bytes"
        key = digest(form, str(bandwidth.window_s), bandwidth.direction, *parts)
        if bandwidth.slows:
            return Pace(table, key, bandwidth, holds=not self.soft)
        return Allotment(table, key, bandwidth, self._counting.window(bandwidth.window_s))

    def _placed(self, counter: Single, key: bytes) -> Single | SharedCounter | StoredCounter:
        """The counter itself, or one that has other gateways know what it counts."""
        stores = self._counting.stores
        return counter if stores is None else stores.place(counter, key, self.policy.store, soft=self.soft)

    def _weighing(self, counter: Adjustable) -> Weighing | None:
        return None if self._weights is None else Weighing(counter, self._weights, self._counting.table)

    def _bind_one(self, made: _Made, name: str, cell: int) -> Bound:
        counter, terms, due = made
        told = _string(name)
        line = b"RateLimit-Policy: %b;q=%d%b" % (told, counter.limit, terms)
        return Bound(counter.take, counter, self, told, line, name, cell, due)

    def refuse(self, counter: Counter, now: float, cost: int) -> Fault:
        wait_s = max(1, ceil(counter.wait_s(now, cost)))
        return Fault(self.kind, self.reason, headers=((b"Retry-After", b"%d" % wait_s),))


class Part:
    """The counters of one key at one level. Where the policy has condition groups, it takes a request to choose them."""

    __slots__ = ("_by_group", "_key", "_limit", "chooses", "fixed")

    def __init__(self, limit: Limit, key: tuple[str, ...]) -> None:
        self._limit = limit
        self._key = key
        self.chooses = limit.choose is not None
        self.fixed: tuple[Bound, ...] = () if self.chooses else limit.bind(key)
        self._by_group: dict[int, tuple[Bound, ...]] = {}

    def bounds(self, exchange: Exchange) -> tuple[Bound, ...]:
        choose = self._limit.choose
        if choose is None:
            return self.fixed
        group = choose(exchange)
        found = self._by_group.get(group)
        if found is None:
            found = self._by_group[group] = self._limit.bind(self._key, group)
        return found


def _string(text: str) -> bytes:
    """A name as a string of structured fields (RFC 9651 §3.3.3), which has none but printable ASCII."""
    plain = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return b'"%b"' % plain.replace("\\", "\\\\").replace('"', '\\"').encode()
