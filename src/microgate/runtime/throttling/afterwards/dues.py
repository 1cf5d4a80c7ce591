"""What an exchange that limits have admitted still owes them: its place among those in flight, the bytes of its bodies, and the
difference that its status makes. stage.py gives it to the exchange, which tells it of bodies and of its end.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from microgate.runtime.exchange import HELD_BY_RATE
from microgate.runtime.protocols.deadlines import NEVER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from microgate.plan.model import Api, Operation, Policy
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.protocols.deadlines import Watch
    from microgate.runtime.throttling.afterwards.weights import Weighing
    from microgate.runtime.throttling.limits import Bound

PLENTY = 1 << 62  # what is left of what is not told to clients before it is used up
GRAIN_BYTES = 4_096  # of bodies, that may be counted later


class Due(Protocol):
    """What a counter wants of an exchange that it has admitted."""

    def join(self, dues: Dues, now: float) -> None: ...


class Place(Protocol):
    """One of those that a counter lets be in flight."""

    @property
    def counter(self) -> object: ...
    def give_back(self) -> None: ...


class Meter(Protocol):
    """A counter of bytes; one with a pace says how long bodies have to wait."""

    grain: int  # bytes that may be counted later
    comes: bool  # bodies of requests count
    goes: bool  # bodies of answers count
    paced: bool
    piece: int  # bytes that are read at a time where it is paced

    def add(self, now: float, amount: int) -> None: ...
    def until(self, now: float) -> float:
        """The moment from which bodies may go on; in the past where they may."""


class Dues:
    """Of one exchange. A watch calls it while bodies wait."""

    __slots__ = (
        "_came",
        "_exchange",
        "_grain",
        "_meters",
        "_watch",
        "_went",
        "cost",
        "deadline",
        "paces",
        "places",
        "weighings",
    )

    def __init__(self, exchange: Exchange, cost: int, watch: Watch | None) -> None:
        self.cost = cost
        self.places: list[Place] = []
        self.weighings: list[tuple[Weighing, float]] = []
        self.paces: list[Meter] = []
        self.deadline = NEVER
        self._exchange = exchange
        self._watch = watch
        self._meters: list[Meter] = []
        self._came = self._went = 0  # bytes that are counted
        self._grain = PLENTY

    def measure(self, meter: Meter) -> None:
        """Have the meter count the bodies from their beginning on."""
        self._meters.append(meter)
        self._grain = min(self._grain, meter.grain)
        if meter.paced and self._watch is not None:
            self.paces.append(meter)

    # Bodies.

    def on_body(self) -> None:
        """Some more of a body has passed."""
        exchange = self._exchange
        if exchange.bytes_in - self._came + exchange.bytes_out - self._went >= self._grain and not exchange.done:
            now = monotonic()
            self._count(now)
            if self.paces:
                self._hold(now)

    def _count(self, now: float) -> None:
        exchange = self._exchange
        came, went = exchange.bytes_in - self._came, exchange.bytes_out - self._went
        self._came += came
        self._went += went
        for meter in self._meters:
            amount = came * meter.comes + went * meter.goes
            if amount:
                meter.add(now, amount)

    def _hold(self, now: float) -> None:
        """Keep back the bodies of which too much has passed, or let them go on."""
        until, body, answer = 0.0, False, False
        for meter in self.paces:
            moment = meter.until(now)
            if moment > now:
                until = max(until, moment)
                body, answer = body or meter.comes, answer or meter.goes
        exchange, watch = self._exchange, self._watch
        assert watch is not None
        if body and not exchange.request_complete:
            exchange.hold_body(HELD_BY_RATE)
            if exchange.upstream is not None:
                exchange.upstream.expect_late(until)
        else:
            exchange.release_body(HELD_BY_RATE)
        if answer:
            exchange.hold_answer(HELD_BY_RATE)
        else:
            exchange.release_answer(HELD_BY_RATE)
        if body or answer:
            self.deadline = until
            watch.add(self)
        else:
            self.deadline = NEVER
            watch.discard(self)

    def on_deadline(self) -> None:
        self._hold(monotonic())

    def on_look(self) -> None:
        """Nothing can go wrong with it."""

    def room(self, beyond: Callable[[], int]) -> Callable[[], int]:
        """The room of the side to which a body goes, less where it goes at a pace: pieces shall be small then."""
        if not self.paces:
            return beyond
        # Readers take half of the room at a time.
        most = 2 * min(meter.piece for meter in self.paces)
        return lambda: min(most, beyond())

    def wait(self, now: float) -> float:
        """Seconds until this exchange's turn: small bodies pass whole, so it is the next request that waits for them."""
        until = 0.0
        for meter in self.paces:
            if meter.goes or self._exchange.length != 0:
                until = max(until, meter.until(now))
        return until - now

    # The end.

    def settle(self) -> None:
        if self._watch is not None:
            self._watch.discard(self)
        for place in self.places:
            place.give_back()
        now = monotonic()
        if self._meters:
            self._count(now)
        for weighing, taken_at in self.weighings:
            weighing.settle(self._exchange.status, self.cost, taken_at, now)


def owe(exchange: Exchange, bounds: Iterable[Bound], cost: int, now: float, watch: Watch | None) -> None:
    """Have an exchange that all of these have admitted owe them what they want."""
    dues = exchange.dues
    for bound in bounds:
        if bound.due is not None:
            if dues is None:
                dues = Dues(exchange, cost, watch)
            bound.due.join(dues, now)
    exchange.dues = dues
    if dues is not None:
        dues.on_body()


def may_owe(policy: Policy, api: Api, operation: Operation) -> bool:
    """Whether a policy can apply to an operation and want more than one decision of its exchanges."""
    if policy.level == "resource" and policy.name not in (api.tier, operation.tier):
        return False
    allowances = [policy.allowance, *(group.allowance for group in policy.groups)]
    return bool(policy.weights) or any(one.concurrency is not None or one.bandwidth is not None for one in allowances)


def take_back(exchange: Exchange, bounds: Iterable[Bound], cost: int) -> None:
    """Undo what was taken of an exchange that is refused in the end; its places it gives back as it ends."""
    dues = exchange.dues
    if dues is not None:
        dues.weighings.clear()
    placed = () if dues is None else tuple(place.counter for place in dues.places)
    for bound in bounds:
        if bound.counter not in placed:
            bound.counter.give_back(cost)


def settle(exchange: Exchange) -> None:
    """The end hook of operations whose limits may be owed something."""
    dues = exchange.dues
    if dues is not None:
        exchange.dues = None
        dues.settle()


def wait_turn(exchange: Exchange) -> Awaitable[None] | None:
    """A stage: wait while more bytes have passed than the pace allows."""
    dues = exchange.dues
    if dues is None or not dues.paces or dues.wait(monotonic()) <= 0:
        return None
    return _wait(dues)


async def _wait(dues: Dues) -> None:
    while True:
        seconds = dues.wait(monotonic())
        if seconds <= 0:
            return
        await asyncio.sleep(seconds)
