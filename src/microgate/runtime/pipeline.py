"""The order an exchange passes: one visible list, and the loop that runs it.

A stage is a callable linked for one operation. It returns None (go on), a Fault or an Answer (stop), or an awaitable of one
of these (the slow way). `SEATS` is the order; assembly fills the seats that an operation uses, an unused one costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from microgate.runtime import faults
from microgate.runtime.exchange import Exchange
from microgate.runtime.faults import Answer, Fault

Outcome: TypeAlias = Fault | Answer | None
Stage: TypeAlias = Callable[[Exchange], "Outcome | Awaitable[Outcome]"]
AnswerStage: TypeAlias = Callable[[Exchange, list[bytes]], None]
EndHook: TypeAlias = Callable[[Exchange], None]
Forward: TypeAlias = Callable[[Exchange], None]

log = logging.getLogger("microgate.pipeline")

SEATS = (
    ("identify", "request id and trace context come first, so that every later refusal can be found in the logs"),
    ("cors", "a preflight carries no credentials and uses no quota"),
    ("overload", "what finds no room costs nothing more, not even the question who calls"),
    ("address", "who may call at all, before anything that came is believed or costs work"),
    ("transport", "what TLS must have proved is known before any credential is read"),
    ("certificate", "a client's certificate, where the API wants one, whatever credential comes beside it"),
    ("authenticate", "who calls"),
    ("binding", "a token that is bound to a key is worth nothing to others, cached verdict or not"),
    ("revocation", "what was taken away beats every cached verdict"),
    ("authorise", "what the caller may do"),
    ("subscription", "what its application has subscribed to; scopes come first, since they cost less to check"),
    ("removal", "keys that proved who calls go no further, and no later stage sees them"),
    ("block", "who is shut out is not counted, whatever its limits are"),
    ("throttle", "counted by who calls, so after authentication; before the dear work of validation"),
    ("pace", "who has had more bytes than flow in the time waits; counted already, so that nobody waits to be refused"),
    ("validate", "bodies are read only for callers within their limits"),
    ("intercept", "users' code sees only requests that the gateway would forward"),
    ("transform", "headers and bodies as the backend wants them"),
    ("credentials", "the backend's credentials are added last, so that no user code sees them"),
)


def seats(order: str) -> tuple[str, ...]:
    """The names of the seats in their order; "wso2" checks requests before it counts them (WSO2 §9.1)."""
    names = [name for name, _ in SEATS]
    if order == "wso2":
        names.remove("validate")
        names.insert(names.index("throttle"), "validate")
    return tuple(names)


class Operation:
    """An operation of the plan, linked: everything knowable at start is closed over."""

    __slots__ = ("answer_stages", "end_hooks", "forward", "labels", "max_body_bytes", "stages", "wso2_statuses")

    def __init__(  # noqa: PLR0913 - filled by one caller, assembly, with keywords
        self,
        *,
        stages: tuple[Stage, ...],
        forward: Forward,
        answer_stages: tuple[AnswerStage, ...] = (),
        end_hooks: tuple[EndHook, ...] = (),
        max_body_bytes: int = -1,
        wso2_statuses: bool = False,
        labels: Labels,
    ) -> None:
        self.stages = stages
        self.forward = forward
        self.answer_stages = answer_stages
        self.end_hooks = end_hooks
        self.max_body_bytes = max_body_bytes
        self.wso2_statuses = wso2_statuses
        self.labels = labels


class Labels:
    """How logs and metrics name an operation: never by a raw path. `index` is its row in the metrics' shared memory."""

    __slots__ = ("api", "api_id", "index", "method", "operation_id", "route", "version")

    def __init__(  # noqa: PLR0913 - names, all of them by keyword
        self, *, index: int, api: str, version: str, operation_id: str, method: str, route: str, api_id: str = ""
    ) -> None:
        self.index = index
        self.api_id = api_id
        self.api = api
        self.version = version
        self.operation_id = operation_id
        self.method = method
        self.route = route  # base path and template, "" for unrouted


def run(exchange: Exchange, operation: Operation) -> None:
    """Take a routed exchange through its operation's stages and on to the backend."""
    try:
        for stage in operation.stages:
            outcome = stage(exchange)
            if outcome is not None:
                _settle(exchange, operation, outcome, operation.stages.index(stage) + 1)
                return
        operation.forward(exchange)
    except Exception:
        log.exception("a stage failed: request %s", exchange.request_id)
        exchange.fail(Fault(faults.INTERNAL))


def _settle(exchange: Exchange, operation: Operation, outcome: object, position: int) -> None:
    if isinstance(outcome, Fault):
        exchange.fail(outcome)
    elif isinstance(outcome, Answer):
        exchange.answer(outcome)
    else:
        assert isinstance(outcome, Awaitable)
        waiting = _wait(exchange, operation, outcome, position)
        exchange.task = asyncio.get_running_loop().create_task(waiting)


async def _wait(exchange: Exchange, operation: Operation, pending: Awaitable[Outcome], position: int) -> None:
    """The rare slow way: go on with the remaining stages once the awaitable is done."""
    try:
        outcome = await pending
        while outcome is None and position < len(operation.stages):
            result = operation.stages[position](exchange)
            position += 1
            outcome = await result if isinstance(result, Awaitable) else result
    except asyncio.CancelledError:
        if exchange.done:
            return
        raise
    except Exception:
        log.exception("a stage failed: request %s", exchange.request_id)
        outcome = Fault(faults.INTERNAL)
    exchange.task = None
    if exchange.done:
        return
    if outcome is not None:
        _settle(exchange, operation, outcome, position)
        return
    try:
        operation.forward(exchange)
    except Exception:
        log.exception("a request could not be forwarded: request %s", exchange.request_id)
        exchange.fail(Fault(faults.INTERNAL))
