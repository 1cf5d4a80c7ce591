"""The stage that tells a backend who calls: a signed token in a header of its own (WSO2 §6.10).

What the client sends under that name never gets here: protocols drop it. `backend_jwt.py` makes the tokens, and is imported only
where the settings want any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.faults import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.security.context import SecurityContext

KEY_SET_PATH = ("/.well-known/microgate", "/jwks.json")

_KINDS = frozenset({"jwt", "oauth2"})


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where no caller has a token."""
    security = operation.security
    kinds = {member.kind for alternative in security.alternatives for member in alternative} or set(security.schemes)
    if security.opened_by or not kinds & _KINDS:
        return None
    start = context.settings.backend_jwt_header.header.encode() + b": "
    tokens = context.backend_tokens
    if tokens is None:
        return _verbatim(start)
    find, make, api_id = tokens.find, tokens.make, api.id

    def attach(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        consumer = exchange.consumer
        if consumer is None or consumer.credential not in _KINDS:
            return None
        if consumer.assertion:
            exchange.passing = [*exchange.passing, start + consumer.assertion]
            return None
        line = find(consumer, api_id)
        if line is None:
            return make(exchange, consumer, api)
        exchange.passing = [*exchange.passing, line]
        return None

    return attach


def _verbatim(start: bytes) -> Stage:
    """Where no tokens are made, one that the issuer has put into the caller's goes on as it is."""

    def attach(exchange: Exchange) -> None:
        consumer = exchange.consumer
        if consumer is not None and consumer.assertion:
            exchange.passing = [*exchange.passing, start + consumer.assertion]

    return attach


def publish(context: SecurityContext) -> Stage | None:
    """The stage that answers with the key set of our tokens; None where none are signed."""
    tokens = context.backend_tokens
    if tokens is None or not tokens.signer.key_set:
        return None
    headers = [(b"Content-Type", b"application/jwk-set+json"), (b"Cache-Control", b"public, max-age=300")]
    body = tokens.signer.key_set

    def answer(exchange: Exchange) -> Answer:
        return Answer(200, headers, body)

    return answer
