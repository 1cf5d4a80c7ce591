"""A policy, linked in one worker: which counters it has for a key, and what is answered where they say no."""

from __future__ import annotations

import logging
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.throttling.buckets import BucketCounter
from microgate.runtime.throttling.table import digest
from microgate.runtime.throttling.windows import FixedCounter, SlidingCounter, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Allowance, Policy
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.throttling.clock import LimitClock
    from microgate.runtime.throttling.stores.placing import Stores
    from microgate.runtime.throttling.table import Table

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

    def wait_s(self, now: float) -> float:
        """Seconds until there is more."""


class Bound(NamedTuple):
    """A counter of one key with the limit that it serves; `take` is the counter's own."""

    take: Callable[[float, int], int]
    counter: Counter
    limit: Limit
    told: bytes  # the name in RateLimit fields, as a structured string
    policy_field: bytes  # the whole RateLimit-Policy line
    name: str  # of the policy, with that of its condition group
    cell: int  # of the metrics, counts what it admits


class Counting:
    """What all limits of a worker count in."""

    def __init__(self, table: Table, clock: LimitClock) -> None:
        self.table = table
        self._clock = clock
        self._windows: dict[int, Window] = {}
        self.stores: Stores | None = None  # where counts are shared with other gateways
        self.unread_cell = 0  # of the metrics, for what is not told to anybody

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
        self.choose: Callable[[Exchange], int] | None = None
        if policy.groups:
            from microgate.runtime.throttling import conditions

            self.choose = conditions.compile(policy.groups)

    def bind(self, key: tuple[str, ...], group: int = -1) -> tuple[Bound, ...]:
        """The counters of a key, those of a condition group where `group` is its position."""
        policy = self.policy
        chosen = policy.groups[group] if group >= 0 else None
        name = policy.name if chosen is None else f"{policy.name}.{chosen.name}"
        parts = (self.level, "" if chosen is None else chosen.name, *key)
        allowance = policy.allowance if chosen is None else chosen.allowance
        counters = self._counters(allowance, parts)
        # What all counters of a policy admit is counted once, with the last of them.
        cells = [self._counting.unread_cell] * (len(counters) - 1) + [self._cell]
        return tuple(
            self._bind_one(counter, name, window_s, cell)
            for (counter, window_s), cell in zip(counters, cells, strict=False)
        )

    def tell_shadow(self, name: str, now: float) -> None:
        """Say in the log that a policy would refuse now: once, and again after a minute."""
        if self.policy.shadow and now >= self._silent_until:
            self._silent_until = now + TELL_SECONDS
            log.warning("%s policy `%s` would refuse requests, were it not in shadow", self.level, name)

    def _counters(self, allowance: Allowance, parts: tuple[str, ...]) -> list[tuple[Counter, int]]:
        table = self._counting.table
        found: list[tuple[Counter, int]] = []
        quota, burst = allowance.quota, allowance.burst
        if quota is not None:
            form = SlidingCounter if quota.sliding else FixedCounter
            key = digest("sliding" if quota.sliding else "fixed", str(quota.window_s), *parts)
            counter = form(table, key, quota.count, self._counting.window(quota.window_s))
            found.append((self._placed(counter, key), quota.window_s))
        if burst is not None:
            key = digest("burst", str(burst.size), str(burst.count), str(burst.window_s), *parts)
            bucket = BucketCounter(table, key, burst.size, burst.count, burst.window_s)
            found.append((self._placed(bucket, key), burst.window_s))
        return found

    def _placed(self, counter: Single, key: bytes) -> Counter:
        """The counter itself, or one that has other gateways know what it counts."""
        stores = self._counting.stores
        return counter if stores is None else stores.place(counter, key, self.policy.store, soft=self.soft)

    def _bind_one(self, counter: Counter, name: str, window_s: int, cell: int) -> Bound:
        told = _string(name)
        line = b"RateLimit-Policy: %b;q=%d;w=%d" % (told, counter.limit, window_s)
        return Bound(counter.take, counter, self, told, line, name, cell)

    def refuse(self, counter: Counter, now: float) -> Fault:
        wait_s = max(1, ceil(counter.wait_s(now)))
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
