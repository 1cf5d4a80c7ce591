"""What the stages of a worker share of counting with other gateways: the store, and the rows that the steward has to hear of.

Made by context.py where a policy of the project asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.throttling.counting.buckets import BucketCounter
from microgate.runtime.throttling.stage import Throttle
from microgate.runtime.throttling.stores import places
from microgate.runtime.throttling.stores.counters import SharedCounter, StoredCounter, rows_of
from microgate.runtime.throttling.stores.fast import Touches
from microgate.runtime.throttling.stores.stage import StoreThrottle

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation, Plan
    from microgate.runtime.stores.store import Store
    from microgate.runtime.throttling.context import Links, ThrottlingContext
    from microgate.runtime.throttling.counting.table import Table
    from microgate.runtime.throttling.limits import Single
    from microgate.settings.throttling import LimitStore


class Stores:
    def __init__(self, plan: Plan, configured: LimitStore, table: Table, linked: Links) -> None:
        self.when_down = configured.when_down
        self.count_decision = linked.counter("limit_store_decisions")
        self.count_absence = linked.counter("limit_store_absences")
        self.store: Store | None = None
        self.table = table
        self._prefix = configured.prefix.encode()
        self._touches: Touches | None = None
        if places.uses(plan, places.STRICT):
            teller = places.Teller(table, configured.when_down, linked.gauge("limit_stores_away"))
            self.store = places.open_store(configured, teller.tell)
            linked.loop.call_soon(self.store.open)
        if places.uses(plan, places.FAST):
            # Half of the time is the workers', half the steward's.
            interval_s = configured.sync_millis / 2000
            drop = linked.counter("limit_counts_unshared")
            self._touches = Touches(linked.loop, linked.channel, interval_s, drop)

    def place(self, counter: Single, key: bytes, store: str, *, soft: bool) -> Single | SharedCounter | StoredCounter:
        """The counter of a key as its policy's store has it. Bursts of `fast` policies stay on each gateway."""
        if store == places.STRICT:
            return StoredCounter(counter, b"%bstrict:%b" % (self._prefix, key.hex().encode()), soft=soft)
        if store == places.FAST and not isinstance(counter, BucketCounter):
            assert self._touches is not None
            return SharedCounter(counter, rows_of(counter, key, self.table), self._touches.rows)
        return counter

    def stage(self, context: ThrottlingContext, api: Api, operation: Operation) -> Throttle:
        if self.store is None and self.when_down == places.LOCAL:
            return Throttle(context, api, operation)  # nothing is decided anywhere else
        return StoreThrottle(context, api, operation, self)

    def close(self) -> None:
        if self._touches is not None:
            self._touches.close()
        if self.store is not None:
            self.store.close()
