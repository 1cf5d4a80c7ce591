"""The stage of an operation whose limits a traffic manager decides, in the order of WSO2 §11.1; it tells it of what it admits.

It reads what the steward has heard, so it never waits. While the broker is away, and a while after, the gateway decides by
itself as the settings say; what was heard before stays true for as long as it was said to.
"""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, TypeAlias

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.throttling.choosing import identities, key_templates
from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.strangers import Strangers
from microgate.runtime.throttling.traffic_manager import properties, records
from microgate.runtime.throttling.traffic_manager.event_sink import EventSink
from microgate.runtime.throttling.traffic_manager.memory import ALONE_UNTIL, DECISIONS, FOREVER, place_of
from microgate.runtime.throttling.traffic_manager.sight import Sight

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.control import Channel
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.faults import Kind
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.throttling.traffic_manager.memory import Region
    from microgate.runtime.throttling.traffic_manager.records import Caller
    from microgate.settings.model import Settings

    Expand: TypeAlias = Callable[[Exchange], str | None]


UNKNOWN = Fault(faults.LIMITS_UNAVAILABLE, "throttle.traffic_manager")

log = logging.getLogger("microgate.throttling")


class TrafficManager:
    """One worker's side of it."""

    def __init__(
        self,
        settings: Settings,
        region: Region,
        loop: asyncio.AbstractEventLoop,
        channel: Channel,
        counter: Callable[[str], Callable[[int], None]],
    ) -> None:
        self.settings = settings
        self.sight = Sight(region, settings.throttling, loop)
        self.events = EventSink(loop, channel, counter("throttle_events_dropped"))
        self.strangers: Strangers[Caller] = Strangers()
        self._told: set[str] = set()

    def link(self, api: Api, operation: Operation, alone: Stage | None) -> Decided:
        """The stage of an operation; `alone` counts where the traffic manager is not there."""
        return Decided(self, api, operation, alone)

    def expanders(self, api: Api, operation: Operation) -> tuple[Expand, ...]:
        """What the present key templates make of a request; one that nobody understands has no key."""
        found = []
        for template in self.sight.templates:
            try:
                found.append(key_templates.link_text(template, api, operation))
            except LookupError:
                if template not in self._told:
                    self._told.add(template)
                    log.warning("a key template of the traffic manager names what is not known here; it limits nobody")
        return tuple(found)

    def close(self) -> None:
        self.sight.close()
        self.events.close()


class Decided:
    """The stage of one operation."""

    def __init__(self, manager: TrafficManager, api: Api, operation: Operation, alone: Stage | None) -> None:
        settings = manager.settings
        self._manager = manager
        self._sight = manager.sight
        self._cells = manager.sight.cells
        self._write = manager.events.write
        self._api = api
        self._operation = operation
        self._names = names = records.Names(api, operation)
        self._contexts = frozenset({api.base_path, f"{api.base_path.rstrip('/')}/{api.version}"})
        self._blocks = manager.sight.blocks_of(identities.api_tenant_of(api))
        self._when_down = settings.throttling.when_broker_down
        self._alone = alone if self._when_down == "local" else None
        self._shared = settings.compatibility.shared_default_tier
        self._gather = properties.link(settings, operation)
        self._known_as = f"traffic manager: {names.resource_key} {api.id}"
        self._known = manager.strangers
        self._strangers = manager.strangers.of(self._known_as)
        self._expand: tuple[Expand, ...] = ()
        self._version = -1

    def __call__(self, exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        cells = self._cells
        if self._blocks.active:
            blocked = self._blocks.check(exchange, self._contexts)
            if blocked is not None:
                return blocked
        consumer = exchange.consumer
        caller = self._caller(consumer) if consumer is not None else self._stranger(exchange.client)
        if cells[DECISIONS]:
            refused = self._ask(exchange, caller)
            if refused is not None:
                return refused
        alone_until = cells[ALONE_UNTIL]
        if alone_until and alone_until > time() * 1000:
            if self._alone is not None:
                return self._count(exchange, caller, self._alone)
            if self._when_down == "closed" and alone_until == FOREVER:
                return UNKNOWN
        self._tell(exchange, caller)
        return None

    def _tell(self, exchange: Exchange, caller: Caller) -> None:
        self._write(records.event(exchange.request_id, caller, self._gather(exchange)))

    def _count(self, exchange: Exchange, caller: Caller, alone: Stage) -> Outcome | Awaitable[Outcome]:
        """By the counters of this gateway."""
        outcome = alone(exchange)
        if outcome is None:
            self._tell(exchange, caller)
            return None
        if isinstance(outcome, faults.Fault | faults.Answer):
            return outcome
        return self._count_slowly(exchange, caller, outcome)

    async def _count_slowly(self, exchange: Exchange, caller: Caller, pending: Awaitable[Outcome]) -> Outcome:
        outcome = await pending
        if outcome is None:
            self._tell(exchange, caller)
        return outcome

    # Who calls.

    def _caller(self, consumer: Consumer) -> Caller:
        known: Caller | None = consumer.limits.get(self._known_as)
        if (
            known is None
            or known.subscription is not consumer.subscriptions.get(self._api.id)
            or known.application is not consumer.application_details
        ):
            known = records.of_consumer(self._names, consumer, self._api, shared=self._shared)
            consumer.limits[self._known_as] = known
        return known

    def _stranger(self, client: str) -> Caller:
        known = self._strangers.get(client)
        if known is None:
            self._known.make_room()
            known = self._strangers[client] = records.of_nobody(self._names, client)
        return known

    # What was decided.

    def _ask(self, exchange: Exchange, caller: Caller) -> Fault | None:
        sight, names = self._sight, self._names
        now_ms = int(time() * 1000)
        if sight.groups:
            for kind, key in (
                (faults.THROTTLED_API, names.api_key),
                (faults.THROTTLED_RESOURCE, names.resource_key),
            ):
                group = sight.groups.get(key)
                if group is not None and (until := group.until(exchange, now_ms)):
                    return _refuse(kind, until, now_ms)
        if (until := sight.until(caller.subscription_key)) > now_ms:
            return _refuse(faults.THROTTLED_SUBSCRIPTION, until, now_ms)
        if exchange.consumer is not None and (until := sight.until(caller.application_key)) > now_ms:
            return _refuse(faults.THROTTLED_APPLICATION, until, now_ms)
        if self._version != sight.version:
            self._version = sight.version
            self._expand = self._manager.expanders(self._api, self._operation)
        for expand in self._expand:
            custom = expand(exchange)
            if custom is not None and (until := sight.until(place_of(digest(custom)))) > now_ms:
                return _refuse(faults.THROTTLED_CUSTOM, until, now_ms)
        return None


def _refuse(kind: Kind, until: int, now_ms: int) -> Fault:
    """`until` and `now_ms` are milliseconds since 1970."""
    return Fault(kind, headers=((b"Retry-After", b"%d" % -(-(until - now_ms) // 1000)),))
