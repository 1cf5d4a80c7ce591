"""An operation of the plan becomes stages, hooks and a way to its backend: everything knowable at start is closed over.

The policy rooms meet here, in the order of `pipeline.SEATS`. Assembly asks for an operation when it is first called; what the
gateway itself serves is linked by the same means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import header_overrides, pipeline
from microgate.runtime.observability import identify
from microgate.runtime.pipeline import Labels, Operation
from microgate.runtime.security import addresses, authenticate, authorise, key_places, transport
from microgate.runtime.security.assertions import stage as assertions
from microgate.runtime.security.certificates import bound_tokens
from microgate.runtime.security.subscriptions import stage as subscriptions
from microgate.runtime.throttling.afterwards import dues
from microgate.runtime.throttling.overload.bounds import Overload

if TYPE_CHECKING:
    from microgate.plan import model
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.observability.accounting import Accounting
    from microgate.runtime.pipeline import AnswerStage, Forward, Stage
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.services.built_in_services import BuiltIns
    from microgate.runtime.throttling.blocks.blocking import Blocks
    from microgate.runtime.throttling.context import ThrottlingContext
    from microgate.runtime.throttling.stage import Throttle
    from microgate.runtime.upstreams.backends import Backends
    from microgate.settings.model import Settings


class Target:
    """A route's end: one operation, linked when it is first asked for."""

    __slots__ = ("api", "index", "linked", "operation")

    def __init__(self, api: model.Api, operation: model.Operation, index: int) -> None:
        self.api = api
        self.operation = operation
        self.index = index  # its row in the metrics; 0 is what belongs to no operation
        self.linked: Operation | None = None


class Linker:
    """Links the operations of one generation in one worker."""

    def __init__(
        self,
        settings: Settings,
        security: SecurityContext,
        throttling: ThrottlingContext | None,
        backends: Backends,
        accounting: Accounting,
        https_port: int,
    ) -> None:
        """`throttling` is None where the project limits nothing."""
        self._settings = settings
        self._throttling = throttling
        self.blocks: Blocks | None = None  # set by assembly, where callers can be shut out
        self._security = security
        self._backends = backends
        self._accounting = accounting
        self.overload = Overload(settings.overload, accounting.metrics.gauge)
        self._https_port = https_port
        self._order = pipeline.seats(settings.compatibility.order)
        self.identify = identify.link(settings)
        self.page_rules: model.Cors | None = None  # of what has no rules of its own
        self._pages: tuple[AnswerStage, ...] = ()
        self.preflights: tuple[Stage, ...] = ()
        if settings.pages.cors_configuration_enabled:
            from microgate.runtime import cors

            self.page_rules = cors.of_settings(settings)
            self._pages = (cors.own_answer_stage(self.page_rules),)
            self.preflights = (cors.own_preflight_stage(self.page_rules),)
        self._answer_stages = _answer_stages(settings)
        self._limit_fields: tuple[AnswerStage, ...] = ()
        self._limit_names: tuple[str, ...] = ()
        if throttling is not None:
            from microgate.runtime.throttling import fields

            form = settings.throttling.rate_limit_headers
            stage = fields.link(form)
            self._limit_fields = () if stage is None else (stage,)
            self._limit_names = fields.NAMES[form]

    def link(self, target: Target) -> Operation:
        """The operation of an API."""
        api, operation = target.api, target.operation
        route = ("" if api.base_path == "/" else api.base_path) + operation.path
        room = self.overload.link(operation, route)
        limits = self._throttling_stage(api, operation)
        owes = limits is not None and limits.owes
        seats: dict[str, Stage | None] = {
            "identify": self.identify,
            "overload": room.stage() if room is not None else None,
            "address": addresses.link(self._settings.security, operation.ip),
            "transport": transport.link(api, self._https_port),
            "certificate": self._certificate_stage(api, operation),
            "binding": bound_tokens.link(self._security, api, operation),
            "authenticate": authenticate.link(self._security, api, operation),
            "revocation": self._revocation_stage(operation),
            "authorise": authorise.link(self._security, api, operation),
            "removal": key_places.link(self._security, operation),
            "subscription": subscriptions.link(self._security, api, operation),
            "block": self._blocking_stage(api),
            "throttle": self._deciding_stage(api, operation, limits),
            "pace": dues.wait_turn if owes else None,
            "credentials": assertions.link(self._security, api, operation),
        }
        fields = self._limit_fields if seats["throttle"] is not None else ()
        limit = self._settings.listener.max_entity_body_size
        if operation.max_body_bytes is not None:
            limit = operation.max_body_bytes if limit < 0 else min(limit, operation.max_body_bytes)
        target.linked = self.operation(
            Labels(
                index=target.index,
                api=api.name,
                version=api.version,
                operation_id=operation.id,
                method=operation.method,
                route=route,
                api_id=api.id,
            ),
            stages=tuple(stage for seat in self._order if (stage := seats.get(seat)) is not None),
            forward=self._backends.forward(api, operation),
            limit=limit,
            answers=(*fields, *_pages(api.cors, self._limit_names if fields else ())),
        )
        if room is not None:
            room.attach(target.linked)
        if owes:
            target.linked.end_hooks = (dues.settle, *target.linked.end_hooks)
        return target.linked

    def link_service(self, target: Target, services: BuiltIns) -> Operation:
        """A service of the gateway's own."""
        path = target.api.base_path
        made = services.make(path)
        labels = Labels(index=target.index, api="", version="", operation_id=path[1:], method="", route=path)
        target.linked = self.operation(
            labels,
            stages=(self.identify, *made.stages),
            forward=made.forward,
            limit=made.max_body_bytes,
            answers=self._pages,
        )
        return target.linked

    def own(self, labels: Labels, stage: Stage) -> Operation:
        """A resource of the gateway's own that one stage answers."""
        return self.operation(labels, stages=(self.identify, *self.preflights, stage), answers=self._pages)

    def operation(
        self,
        labels: Labels,
        *,
        stages: tuple[Stage, ...] = (),
        forward: Forward | None = None,
        limit: int = -1,
        answers: tuple[AnswerStage, ...] = (),
    ) -> Operation:
        """What passes these stages; `limit` is of the request's body, in bytes, and `answers` see each answer."""
        return Operation(
            stages=stages,
            forward=forward or _nowhere,
            answer_stages=(*self._answer_stages, *answers),
            end_hooks=(self._accounting.link(labels),),
            max_body_bytes=limit,
            wso2_statuses=self._settings.compatibility.statuses == "wso2",
            labels=labels,
        )

    def _certificate_stage(self, api: model.Api, operation: model.Operation) -> Stage | None:
        """Its code takes `cryptography` along, so it is imported only where an API uses certificates."""
        if not self._security.asks_clients:
            return None
        from microgate.runtime.security.certificates import client_certificates

        return client_certificates.link(self._security, api, operation)

    def _throttling_stage(self, api: model.Api, operation: model.Operation) -> Throttle | None:
        if self._throttling is None:
            return None
        from microgate.runtime.throttling import stage as throttling

        return throttling.link(self._throttling, api, operation)

    def _deciding_stage(self, api: model.Api, operation: model.Operation, limits: Throttle | None) -> Stage | None:
        """A traffic manager decides before the limits, where there is one, and asks them while it is away."""
        if self._throttling is None or self._throttling.traffic_manager is None:
            return limits
        return self._throttling.traffic_manager.link(api, operation, limits)

    def _blocking_stage(self, api: model.Api) -> Stage | None:
        if self.blocks is None:
            return None
        from microgate.runtime.throttling.blocks import blocking

        return blocking.link(self.blocks, api)

    def _revocation_stage(self, operation: model.Operation) -> Stage | None:
        if self._security.revocations is None:
            return None
        from microgate.runtime.security.revocation import stage as revocation

        return revocation.link(self._security, operation)


def _pages(rules: model.Cors | None, more: tuple[str, ...]) -> tuple[AnswerStage, ...]:
    """What lets pages of other origins read an answer, with `more` names of fields."""
    if rules is None:
        return ()
    from microgate.runtime import cors

    return (cors.answer_stage(rules, more),)


def _nowhere(exchange: Exchange) -> None:
    raise AssertionError("an operation without a backend answers in a stage")


def _answer_stages(settings: Settings) -> tuple[AnswerStage, ...]:
    """What every answer gets, the gateway's own included."""
    override = header_overrides.for_answers(settings.server)
    first = () if override is None else (override,)
    name = settings.forwarding.request_id_header
    if not name:
        return first

    def name_request(exchange: Exchange, lines: list[bytes]) -> None:
        lines.append(f"{name}: {exchange.request_id}".encode())

    return (*first, name_request)
