"""The stage that decides whether the caller may call this operation: any one of its scopes suffices (WSO2 §6.7),
or all are needed where the project says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.security.context import SecurityContext


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where it is open or asks for no scope."""
    security = operation.security
    if security.opened_by or not security.scopes or security.alternatives:
        return None
    allowed = frozenset(security.scopes)
    is_unscoped = _nobody
    if "api_key" in security.schemes:
        from microgate.runtime.security.api_keys.key_holders import is_unscoped
    refusal = context.refusals(security.schemes).insufficient_scope(security.scopes)

    def authorise(exchange: Exchange) -> Fault | None:
        consumer = exchange.consumer
        if consumer is None or allowed.isdisjoint(consumer.scopes):
            return None if is_unscoped(consumer) else refusal
        return None

    def authorise_all(exchange: Exchange) -> Fault | None:
        consumer = exchange.consumer
        if consumer is None or not allowed <= consumer.scopes:
            return None if is_unscoped(consumer) else refusal
        return None

    return authorise_all if security.all_scopes else authorise


def _nobody(consumer: Consumer | None) -> bool:
    """Where no keys are taken, scopes are asked of everybody."""
    return False
