"""Plan and settings become a gateway: its routes, its doors, and what its stages share; linking.py links the operations.

`Gateway.accept` takes any exchange, with a socket behind it or not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, cast

from microgate.plan.paths import parse_template
from microgate.runtime import faults, pipeline
from microgate.runtime.faults import Fault
from microgate.runtime.linking import Linker, Target
from microgate.runtime.observability import accounting, health
from microgate.runtime.observability.metrics import rows
from microgate.runtime.pipeline import Labels
from microgate.runtime.protocols.deadlines import Watch
from microgate.runtime.protocols.door import Door
from microgate.runtime.protocols.http1_server import ServerConnection
from microgate.runtime.router import Route, Router
from microgate.runtime.security import transport
from microgate.runtime.security.assertions import stage as assertions
from microgate.runtime.security.context import SecurityContext
from microgate.runtime.security.services import built_in_services
from microgate.runtime.security.services.built_in_services import BuiltIns
from microgate.runtime.security.taken_names import taken_names
from microgate.runtime.upstreams.backends import Backends
from microgate.runtime.upstreams.pool import Counts

if TYPE_CHECKING:
    from microgate.plan import model
    from microgate.runtime.cors import Site, Sites
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.observability.metrics import Metrics
    from microgate.runtime.pipeline import Operation
    from microgate.runtime.regions import Regions
    from microgate.runtime.throttling.blocks.blocking import Blocks
    from microgate.runtime.throttling.context import ThrottlingContext
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.assembly")

FAST_WATCH_SECONDS = 0.05  # backends: a timeout is late by at most this
SLOW_WATCH_SECONDS = 0.5  # clients

# The parser's methods that an HTTP client uses; the health resource answers all of them.
HEALTH_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


class Services(accounting.Services, Protocol):
    """What a worker has for its gateway."""

    @property
    def https_port(self) -> int | None:
        """Where clients reach HTTPS; None where they do not."""

    @property
    def regions(self) -> Regions:
        """What this process shares with others beside the metrics."""


class Gateway:
    """One generation in one worker."""

    def __init__(self, plan: model.Plan, settings: Settings, services: Services) -> None:
        self._clients = Watch(services.loop, SLOW_WATCH_SECONDS, looks=True)
        self._exchanges = Watch(services.loop, FAST_WATCH_SECONDS, looks=True)
        self._accounting = accounting.Accounting(plan, settings, services)
        counter = self._accounting.metrics.counter
        counts = Counts(self._accounting.metrics.gauge, counter)
        self._security = SecurityContext(
            settings,
            services.channel,
            plan=plan,
            counter=counter,
            gauge=self._accounting.metrics.gauge,
            revocations=services.regions.revocations,
            replays=services.regions.replays and (services.regions.replays, services.slot),
        )
        own_names = frozenset({settings.backend_jwt_header.header.lower().encode()}) | taken_names(plan)
        self._backends = Backends(plan, settings, services.loop, self._exchanges, own_names, counts)
        self._door = Door(settings, self._clients, self, own_names, counter)
        # Without a listener of our own, HTTPS is spoken by what stands in front, where clients expect it.
        https_port = services.https_port or transport.HTTPS_PORT
        self._throttling = _throttling(plan, settings, services, self._accounting.metrics, self._exchanges)
        self._linker = Linker(settings, self._security, self._throttling, self._backends, self._accounting, https_port)
        self._overload = self._linker.overload
        self._max_in_flight = self._overload.max_in_flight
        self._linker.blocks = _blocks(plan, settings, services)
        self._begin = self._accounting.begin
        self._identify = self._linker.identify
        self._unrouted = self._linker.operation(
            Labels(index=0, api="", version="", operation_id="", method="", route="")
        )
        if self._linker.page_rules is not None:
            from microgate.runtime import cors

            plan = cors.settled(plan, self._linker.page_rules)
        self._services = BuiltIns(self._security, self._linker.preflights)
        own = rows(plan)[-1]
        targets = {path: _service_target(path, own.index) for path in self._services.paths}
        routes = [*self._routes(plan), *self._health_routes(own), *self._key_set_routes(own)]
        self._router = Router([*routes, *_service_routes(targets)])
        tokens = {path: targets[path] for path in self._services.token_paths}
        self._token_door = Door(settings, self._clients, _TokenEntrance(self, tokens), own_names, counter)

        self._sites: Sites | None = None
        if any(api.cors is not None for api in plan.apis):
            from microgate.runtime import cors

            self._sites = cors.Sites(plan, self._site)

    # Exchanges.

    def accept(self, exchange: Exchange) -> None:
        """Route an exchange and run its operation's stages."""
        found = self._router.find(exchange.authority, exchange.path, exchange.method)
        if isinstance(found, Fault):
            self._miss(exchange, found)
            return
        self._serve(exchange, found)

    def _serve(self, exchange: Exchange, found: Target) -> None:
        operation = found.linked
        if operation is None:
            try:
                operation = (
                    self._linker.link(found) if found.api.id else self._linker.link_service(found, self._services)
                )
            except Exception:
                log.exception("an operation cannot be linked: %s %s", found.api.name, found.operation.id)
                self.refuse(exchange, Fault(faults.INTERNAL))
                return
        exchange.operation = operation
        # Health and the gateway's own services belong to no API, and are answered whatever goes on.
        if self._begin() > self._max_in_flight and operation.labels.api:
            self._identify(exchange)
            self._overload.refuse(exchange)
            return
        limit = operation.max_body_bytes
        if 0 <= limit < max(exchange.length, exchange.bytes_in):
            self._identify(exchange)
            exchange.fail(Fault(faults.BODY_TOO_LARGE))
            return
        pipeline.run(exchange, operation)

    def _miss(self, exchange: Exchange, fault: Fault) -> None:
        """Answer an exchange for which no operation was found; pages may read it where they may read the API's answers."""
        site = self._site_of(exchange)
        if site is not None and exchange.method == "OPTIONS" and fault.kind is faults.METHOD_NOT_ALLOWED:
            exchange.operation = site.preflight
            self._begin()
            pipeline.run(exchange, site.preflight)
            return
        self._fail(exchange, fault, self._unrouted if site is None else site.other)

    def refuse(self, exchange: Exchange, fault: Fault) -> None:
        """Answer an exchange that is malformed; one whose API can be told has the fields that let its pages read why."""
        # A head that never became complete has no fields, and so no origin.
        site = self._site_of(exchange) if exchange.lines else None
        self._fail(exchange, fault, self._unrouted if site is None else site.other)

    def refuse_unrouted(self, exchange: Exchange, fault: Fault) -> None:
        """Answer an exchange that belongs to nothing; it has its ids and its log line all the same."""
        self._fail(exchange, fault, self._unrouted)

    def _site_of(self, exchange: Exchange) -> Site | None:
        return self._sites.find(exchange) if self._sites is not None else None

    def _fail(self, exchange: Exchange, fault: Fault, operation: Operation) -> None:
        exchange.operation = operation
        self._begin()
        self._identify(exchange)
        exchange.fail(fault)

    def forget(self, exchange: Exchange, reason: str) -> None:
        """Log an exchange that will never begin, because its connection ended before its turn."""
        exchange.operation = self._unrouted
        self._begin()
        self._identify(exchange)
        exchange.on_client_abort(reason)

    # The worker's side.

    def connection(self, scheme: str) -> ServerConnection:
        """A new connection of a client, to be handed to the event loop."""
        if scheme == "token":
            return ServerConnection(self._token_door, "https")
        return ServerConnection(self._door, scheme)

    @property
    def connections(self) -> int:
        return len(self._clients.members)

    @property
    def in_flight(self) -> int:
        return sum(cast("ServerConnection", member).is_busy for member in self._clients.members)

    def begin_drain(self) -> None:
        """From now on every answer is the last on its connection; idle connections are closed."""
        self._door.begin_drain()
        self._token_door.begin_drain()
        if self._throttling is not None:
            self._throttling.begin_drain()
        for member in tuple(self._clients.members):
            cast("ServerConnection", member).begin_drain()

    async def close(self) -> None:
        """End everything now, and hand over the last log lines."""
        for member in tuple(self._clients.members):
            cast("ServerConnection", member).close()
        self._backends.close()
        self._security.close()
        self._overload.close()
        if self._throttling is not None:
            self._throttling.close()
        self._clients.close()
        self._exchanges.close()
        await self._accounting.close()

    # Routes.

    def _routes(self, plan: model.Plan) -> list[Route[Target]]:
        routes: list[Route[Target]] = []
        for api in plan.apis:
            for operation in api.operations:
                routes.append(
                    Route(
                        hosts=api.hosts,
                        base_path=api.base_path,
                        template=parse_template(operation.path),
                        method=operation.method,
                        payload=Target(api, operation, len(routes) + 1),
                        protection=(api.id, operation.security, operation.ip, operation.forward_auth),
                    )
                )
        return routes

    def _health_routes(self, labels: Labels) -> list[Route[Target]]:
        """`/health` below no API (WSO2 §14.2). Its target is linked from the start."""
        target = Target(cast("model.Api", None), cast("model.Operation", None), labels.index)
        target.linked = self._linker.own(labels, health.link())
        template = parse_template("/*")
        return [Route((), "/health", template, method, target, "health") for method in HEALTH_METHODS]

    def _key_set_routes(self, labels: Labels) -> list[Route[Target]]:
        """The gateway's own keys, where it signs tokens for backends."""
        stage = assertions.publish(self._security)
        if stage is None:
            return []
        target = Target(cast("model.Api", None), cast("model.Operation", None), labels.index)
        target.linked = self._linker.own(labels, stage)
        base_path, path = assertions.KEY_SET_PATH
        template = parse_template(path)
        return [Route((), base_path, template, method, target, "key_set") for method in ("GET", "HEAD")]

    def _site(self, api: model.Api, rules: model.Cors) -> Site:
        from microgate.runtime import cors

        labels = Labels(index=0, api=api.name, version=api.version, operation_id="", method="", route="")
        preflight = cors.preflight_stage(rules, self._router.find)
        return cors.Site(
            preflight=self._linker.operation(labels, stages=(self._identify, preflight)),
            other=self._linker.operation(labels, answers=(cors.answer_stage(rules),)),
        )


class _TokenEntrance:
    """The way in of the listener that has the token services and nothing else."""

    def __init__(self, gateway: Gateway, services: dict[str, Target]) -> None:
        self._router = Router(_service_routes(services))
        self._serve = gateway._serve  # noqa: SLF001 - the same gateway behind another router
        self.refuse = gateway.refuse_unrouted
        self.forget = gateway.forget

    def accept(self, exchange: Exchange) -> None:
        found = self._router.find(exchange.authority, exchange.path, exchange.method)
        if isinstance(found, Fault):
            self.refuse(exchange, found)
        else:
            self._serve(exchange, found)


def _service_target(path: str, index: int) -> Target:
    described = built_in_services.describe(path)
    return Target(described.api, described.operation, index)


def _service_routes(services: dict[str, Target]) -> list[Route[Target]]:
    """A service owns all below its path, with any method (WSO2 §6.5, §6.13)."""
    below = parse_template("/*")
    return [
        Route((), path, below, method, target, f"service {path}")
        for path, target in services.items()
        for method in built_in_services.METHODS
    ]


def _throttling(
    plan: model.Plan, settings: Settings, services: Services, metrics: Metrics, watch: Watch
) -> ThrottlingContext | None:
    """What limits share; its code is not imported where a project limits nothing."""
    if not plan.policies and services.regions.decisions is None:
        return None
    from microgate.runtime.throttling.context import Links, ThrottlingContext

    linked = Links(
        loop=services.loop,
        channel=services.channel,
        counter=metrics.counter,
        gauge=metrics.gauge,
        watch=watch,
        in_flight=services.regions.in_flight,
        traffic_manager=services.regions.decisions,
    )
    context = ThrottlingContext(plan, settings, services.regions.limits, services.slot, linked)
    context.count_in(*metrics.decisions())
    return context


def _blocks(plan: model.Plan, settings: Settings, services: Services) -> Blocks | None:
    """Who is shut out; its code is not imported where nobody can be."""
    if not plan.blocks and not settings.throttling.blocking_file:
        return None
    from microgate.runtime.throttling.blocks import blocking, blocking_file

    blocks = blocking.Blocks(services.channel)
    blocks.replace(blocking.PROJECT, plan.blocks)
    if settings.throttling.blocking_file:
        blocking_file.begin(settings.throttling.blocking_file, blocks)
    return blocks


def assemble(plan: model.Plan, settings: Settings, services: Services) -> Gateway:
    """The gateway of one worker; raises MicrogateError where settings or keys do not allow one."""
    return Gateway(plan, settings, services)
