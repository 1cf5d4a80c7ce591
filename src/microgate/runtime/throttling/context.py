"""What the throttling stages of one worker share: the table of counts, the clock, the policies, and what is counted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.throttling.choosing.custom import KnownKeys
from microgate.runtime.throttling.counting.clock import LimitClock
from microgate.runtime.throttling.counting.table import Table, open_region
from microgate.runtime.throttling.limits import OWN_CAPACITY, Counting, Limit
from microgate.runtime.throttling.strangers import Strangers

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.control import Channel
    from microgate.runtime.protocols.deadlines import Watch
    from microgate.runtime.throttling.counting.table import LimitRegion
    from microgate.runtime.throttling.stage import Callers
    from microgate.runtime.throttling.stores.placing import Stores
    from microgate.runtime.throttling.traffic_manager.memory import Region
    from microgate.runtime.throttling.traffic_manager.stage import TrafficManager
    from microgate.settings.model import Settings

_UNREAD_BYTES = 64

# Which policies a level has its tiers from; API tiers are resource policies (WSO2 §4).
_SPACES = {
    "api": "resource",
    "resource": "resource",
    "subscription": "subscription",
    "application": "application",
    "custom": "custom",
    "unauthenticated": "subscription",
}


class Links(NamedTuple):
    """What a worker lends to whoever works aside: its loop, its channel to the steward, and its metrics by name."""

    loop: AbstractEventLoop
    channel: Channel
    counter: Callable[[str], Callable[[int], None]]
    gauge: Callable[[str], Callable[[int], None]]
    watch: Watch
    in_flight: LimitRegion | None
    traffic_manager: Region | None = None  # what it has decided


class ThrottlingContext:
    """`slot` is the worker's; `region` is None where nothing is shared."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        region: LimitRegion | None,
        slot: int,
        linked: Links | None = None,
        moment: Callable[[], float] | None = None,
    ) -> None:
        """`linked` is None where nothing is told to anybody, as in tests of counters; `moment` is a clock in place of ours."""
        self.plan = plan
        self.settings = settings
        self.table = Table(region or open_region(1, OWN_CAPACITY), slot)
        self.clock = LimitClock(self.table) if moment is None else LimitClock(self.table, moment, moment)
        self.counting = Counting(self.table, self.clock, linked and linked.in_flight)
        self.watch = linked and linked.watch  # which lets bodies go on that flow slowly
        self._policies = {(policy.level, policy.name): policy for policy in plan.policies}
        self._spaces = {policy.level for policy in plan.policies}
        self._limits: dict[tuple[str, str], Limit | None] = {}
        self.strangers: Strangers[Callers] = Strangers()
        self.known_keys = KnownKeys()
        self.decisions: memoryview[int]
        self.count_in(memoryview(bytearray(_UNREAD_BYTES)).cast("q"), {("", ""): 0})
        self.table.claim()
        self.stores = self.counting.stores = _stores(plan, settings, self.table, linked)
        self.traffic_manager = _traffic_manager(settings, linked)

    def count_in(self, cells: memoryview[int], places: dict[tuple[str, str], int]) -> None:
        """Count decisions in these words; `places` has the first one of each level and policy, and one that nobody reads."""
        self.decisions = cells
        self._places = places
        self.counting.unread_cell = places["", ""]

    def has(self, level: str) -> bool:
        """Whether the project has policies of which this level could use one."""
        return _SPACES[level] in self._spaces

    def limit(self, level: str, tier: str) -> Limit | None:
        """The limit of a tier, None where the project has no such policy."""
        if (level, tier) not in self._limits:
            policy = self._policies.get((_SPACES[level], tier))
            cell = self._places.get((level, tier), self.counting.unread_cell)
            self._limits[level, tier] = None if policy is None else Limit(policy, level, self.counting, cell)
        return self._limits[level, tier]

    def begin_drain(self) -> None:
        """A successor takes the worker's column over."""
        self.table.give_up()

    def close(self) -> None:
        self.counting.leave()
        if self.stores is not None:
            self.stores.close()
        if self.traffic_manager is not None:
            self.traffic_manager.close()


def _stores(plan: Plan, settings: Settings, table: Table, linked: Links | None) -> Stores | None:
    """Where counts are shared with other gateways; None, and not imported, where no policy asks for it."""
    if linked is None or all(policy.store == "node" for policy in plan.policies):
        return None
    from microgate.runtime.throttling.stores.placing import Stores

    return Stores(plan, settings.throttling.store, table, linked)


def _traffic_manager(settings: Settings, linked: Links | None) -> TrafficManager | None:
    """Who decides in place of the counts; None, and not imported, where the settings name nobody."""
    if linked is None or linked.traffic_manager is None:
        return None
    from microgate.runtime.throttling.traffic_manager.stage import TrafficManager

    return TrafficManager(settings, linked.traffic_manager, linked.loop, linked.channel, linked.counter)
