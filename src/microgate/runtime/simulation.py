"""What the limits of a plan would have done to the requests of an access log: who would have been refused, by which of them.

Each request goes through the router and the stage of limits that serve in a worker, with counts of their own and a clock that
follows the log. What a log does not hold - headers, queries, claims - limits cannot see. `microgate simulate` shows the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from microgate.plan.paths import parse_template
from microgate.runtime.exchange import Application, Consumer, Exchange, Subscription
from microgate.runtime.faults import Fault
from microgate.runtime.observability.metrics import VERDICTS, limits
from microgate.runtime.router import Route, Router
from microgate.runtime.throttling import stage as throttling
from microgate.runtime.throttling.context import ThrottlingContext
from microgate.runtime.throttling.counting.table import SHARED_ROWS, digest, open_region
from microgate.runtime.throttling.levels import UNLIMITED, address_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.plan.model import Allowance, Api, Operation, Plan, Policy
    from microgate.runtime.observability.log_reading import Line
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.throttling.limits import Bound, Limit
    from microgate.settings.model import Settings

MAX_KEYS = 2_000_000
MAX_REMEMBERED = 32_768  # ways and callers
MAX_REMEMBERED_PATH = 256
MAX_HOLDERS = 10_000  # of whom is counted how often a limit refused them

# Reasons of requests that came as far as limits, or further.
_COUNTED = ("throttle.", "backend.", "client.", "gateway.", "internal")
_BLOCKED = "throttle.blocked"


class Finding:
    """What one policy would have done at one level."""

    def __init__(self, level: str, policy: str) -> None:
        self.level = level
        self.policy = policy
        self.verdicts = dict.fromkeys(VERDICTS, 0)
        self.first: float | None = None  # when it was over for the first time, in seconds since 1970
        self.holders: dict[str, int] = {}  # who was over it, and how often

    @property
    def requests(self) -> int:
        return sum(self.verdicts.values())

    def note(self, at: float, holder: str) -> None:
        """Somebody was over it."""
        if self.first is None:
            self.first = at
        holders = self.holders
        if holder not in holders and len(holders) >= MAX_HOLDERS:
            for rare in sorted(holders, key=lambda name: holders[name])[: MAX_HOLDERS // 2]:
                del holders[rare]
        holders[holder] = holders.get(holder, 0) + 1

    def most(self, count: int) -> list[tuple[str, int]]:
        return sorted(self.holders.items(), key=lambda one: (-one[1], one[0]))[:count]


class _Way:
    """An operation with its stage; None where nothing limits it."""

    def __init__(self, api: Api, operation: Operation) -> None:
        self.api = api
        self.operation = operation
        self.is_open = bool(operation.security.opened_by)
        self.stage: Stage | None = None
        self.is_linked = False


class _Nobody:
    """Stands for the connection of a client."""

    peer = ""
    scheme = "https"


class Simulation:
    """Counts requests as a gateway would. `run` may be called again with later ones."""

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self.asked = 0  # requests that a limit was asked about
        self.unlimited = 0  # requests to operations that nothing limits
        self.unrouted = 0
        self.refused_before = 0  # those that never came as far as limits
        self.nameless = 0  # callers of closed operations of whom the log has no name
        self.unknown_applications = 0  # lines of older gateways
        self.undefined: dict[str, int] = {}  # tiers of callers that the plan does not have
        names = limits(plan)
        self._cells: memoryview[int] = memoryview(bytearray(8 * (1 + len(names) * len(VERDICTS)))).cast("q")
        self._places = {name: 1 + len(VERDICTS) * position for position, name in enumerate(names)}
        self._findings = {name: Finding(*name) for name in names}
        self._by_limit: dict[Limit, Finding] = {}
        self._now = 0.0
        region = open_region(1, MAX_KEYS)
        counted = msgspec.structs.replace(plan, policies=tuple(map(_local, plan.policies)))
        self._context = ThrottlingContext(counted, settings, region, 0, moment=lambda: self._now)
        self._context.count_in(self._cells, {("", ""): 0, **self._places})
        self._router = Router(_routes(counted))
        self._hosts = {(api.name, api.version): _some_host(api) for api in plan.apis}
        self._ways: dict[tuple[str, str, str, str], _Way] = {}
        self._callers: dict[tuple[str | None, ...], Consumer] = {}
        self._reasons: dict[str, bool] = {}
        self._exchange = Exchange(cast("Any", _Nobody()), "", b"", [])
        self._shows_agents = any(policy.groups or policy.key_template for policy in plan.policies)

    @property
    def findings(self) -> list[Finding]:
        """Of the limits that were asked, in the order of the plan."""
        for name, finding in self._findings.items():
            place = self._places[name]
            finding.verdicts = {verdict: self._cells[place + at] for at, verdict in enumerate(VERDICTS)}
        return [finding for finding in self._findings.values() if finding.requests]

    @property
    def shares_counts(self) -> bool:
        """Whether there were more keys than can be told apart."""
        return self._context.table.cells[SHARED_ROWS] > 0

    def run(self, lines: Iterable[Line]) -> None:
        """Count requests, in the order of their times."""
        exchange, ways, callers, reasons = self._exchange, self._ways, self._callers, self._reasons
        shows_agents, now = self._shows_agents, self._now
        asked = 0
        for line in lines:
            if line.at > now:
                now = self._now = line.at
            reason = line.reason
            if reason and not (reasons[reason] if reason in reasons else self._is_counted(reason)):
                self.refused_before += 1
                continue
            place = (line.method, line.path, line.api, line.version)
            way = ways.get(place) or self._route(place)
            if way is None:
                continue
            stage = way.stage
            if stage is None:
                self.unlimited += 1
                continue
            who = (way.api.id, line.consumer, line.application, line.application_tier, line.subscription_tier)
            exchange.consumer = callers.get(who) or self._know(way, line, who)
            exchange.client = line.client
            exchange.quota = None
            if shows_agents:
                self._show(exchange, way, line)
            asked += 1
            outcome = stage(exchange)
            if outcome is not None or (exchange.quota is not None and exchange.quota[3]):
                self._note(outcome, way, line)
        self.asked += asked

    def _is_counted(self, reason: str) -> bool:
        counts = reason.startswith(_COUNTED) and not reason.startswith(_BLOCKED)
        if len(self._reasons) < MAX_REMEMBERED:
            self._reasons[reason] = counts
        return counts

    def _route(self, place: tuple[str, str, str, str]) -> _Way | None:
        method, path, api, version = place
        authority = self._hosts.get((api, version), b"")
        found = self._router.find(authority, path.encode("utf-8", "surrogatepass"), method)
        way = None if isinstance(found, Fault) else found
        if way is None:
            self.unrouted += 1
            return None
        if not way.is_linked:
            way.stage = throttling.link(self._context, way.api, way.operation)
            way.is_linked = True
        if len(path) <= MAX_REMEMBERED_PATH:
            if len(self._ways) >= MAX_REMEMBERED:
                self._ways.clear()
            self._ways[place] = way
        return way

    def _know(self, way: _Way, line: Line, who: tuple[str | None, ...]) -> Consumer | None:
        """The caller of a line, as far as the log knows it."""
        self.unknown_applications += line.application is None
        if not line.consumer and not line.application:
            if way.is_open:
                return None
            self.nameless += 1
            stranger = Consumer("", "unknown")
            stranger.token = digest(address_of(line.client))
            return stranger
        consumer = Consumer(line.consumer, "unknown")
        if line.application or line.application_tier:
            consumer.application_details = Application(id=line.application or "", tier=line.application_tier)
        if line.subscription_tier:
            consumer.subscriptions[way.api.id] = Subscription(tier=line.subscription_tier)
        if len(self._callers) >= MAX_REMEMBERED:
            self._callers.clear()
        self._callers[who] = consumer
        return consumer

    def _show(self, exchange: Exchange, way: _Way, line: Line) -> None:
        """What conditions and key templates may ask of a request, and a log has."""
        exchange.method = way.operation.method
        exchange.target = exchange.path = line.path.encode("utf-8", "surrogatepass")
        agent = line.user_agent.encode("utf-8", "surrogatepass")
        exchange.lines = [b"User-Agent: " + agent] if agent else []
        exchange.derived = None

    def _note(self, outcome: Any, way: _Way, line: Line) -> None:
        """Note who was over which limit."""
        quota = self._exchange.quota
        if quota is None:
            self._note_undefined(line)
            return
        over: tuple[Bound, ...] = quota[3] if outcome is None else (*quota[3], quota[0])
        told: Limit | None = None
        for bound in over:
            limit = bound.limit
            if limit is told:
                continue  # its quota and its burst
            told = limit
            finding = self._by_limit.get(limit)
            if finding is None:
                finding = self._by_limit[limit] = self._findings[limit.level, limit.policy.name]
            finding.note(self._now, _holder(limit.level, way, line))

    def _note_undefined(self, line: Line) -> None:
        for level, tier in (("subscription", line.subscription_tier), ("application", line.application_tier)):
            if tier not in ("", UNLIMITED) and self._context.limit(level, tier) is None:
                name = f"{level} tier `{tier}`"
                if name in self.undefined or len(self.undefined) < MAX_HOLDERS:
                    self.undefined[name] = self.undefined.get(name, 0) + 1
                return


def _local(policy: Policy) -> Policy:
    """The policy as one gateway counts it alone, without what a log cannot tell: how long requests were there, and bytes."""
    groups = tuple(msgspec.structs.replace(group, allowance=_countable(group.allowance)) for group in policy.groups)
    return msgspec.structs.replace(
        policy, store="node", weights=(), groups=groups, allowance=_countable(policy.allowance)
    )


def _countable(allowance: Allowance) -> Allowance:
    return msgspec.structs.replace(allowance, concurrency=None, bandwidth=None)


def _routes(plan: Plan) -> list[Route[_Way]]:
    return [
        Route(
            hosts=api.hosts,
            base_path=api.base_path,
            template=parse_template(operation.path),
            method=operation.method,
            payload=_Way(api, operation),
        )
        for api in plan.apis
        for operation in api.operations
    ]


def _some_host(api: Api) -> bytes:
    """A host at which the API is; the log does not say which one was asked."""
    return api.hosts[0].replace("*", "any", 1).encode() if api.hosts else b""


def _holder(level: str, way: _Way, line: Line) -> str:
    """Whose count it is, in words."""
    if level == "api":
        return f"{way.api.name} {way.api.version}"
    if level == "resource":
        base = "" if way.api.base_path == "/" else way.api.base_path
        return f"{way.operation.method} {base}{way.operation.path}"
    if level == "unauthenticated":
        return address_of(line.client)
    caller = line.consumer or address_of(line.client)
    if level == "application":
        return f"{caller} of {line.application}" if line.application else caller
    return (line.application if level == "subscription" else "") or caller
