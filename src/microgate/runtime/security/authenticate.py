"""The stage that finds out who calls: it finds the credential, chooses the scheme, and asks for the verdict (WSO2 §6.1).

A token that was seen before costs one lookup by the header field's bytes. Schemes other than self-contained tokens have
their seat in `_Decision.decide` and are refused until they are there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError, UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.security.context import SecurityContext


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where the project opened it."""
    security = operation.security
    if security.opened_by:
        return None
    header = (api.auth_header or context.settings.auth.authorization_header).lower().encode()
    decision = _Decision(context, security.schemes)
    if header != b"authorization":
        return _own_header(decision, header)
    if "jwt" not in security.schemes:
        return lambda exchange: decision.decide(exchange, exchange.authorization)
    find = context.verdicts.find
    decide = decision.decide

    def authenticate(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        value = exchange.authorization
        consumer = find(value)
        if consumer is None:
            return decide(exchange, value)
        exchange.consumer = consumer
        return None

    return authenticate


def _own_header(decision: _Decision, header: bytes) -> Stage:
    """The stage of an API whose credential comes in a field of another name (WSO2 §3.7)."""

    def authenticate(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        values = exchange.values(header)
        if len(values) > 1:
            return decision.refuse(refusals.REPEATED)
        value = values[0] if values else b""
        consumer = decision.find(value)
        if consumer is None:
            return decision.decide(exchange, value)
        exchange.consumer = consumer
        return None

    return authenticate


class _Decision:
    """What an operation with these schemes does with a credential."""

    def __init__(self, context: SecurityContext, schemes: tuple[str, ...]) -> None:
        self._context = context
        self._schemes = frozenset(schemes)
        self.refuse = context.refusals(schemes).fault

    def find(self, value: bytes) -> Consumer | None:
        """The caller by a token that was verified before, where this operation takes tokens."""
        return self._context.verdicts.find(value) if "jwt" in self._schemes else None

    def decide(self, exchange: Exchange, value: bytes) -> Outcome | Awaitable[Outcome]:
        """Choose by the scheme's exact word: WSO2 searched the value for `basic`, `bearer` and a dot."""
        if not value:
            return self.refuse(refusals.MISSING)
        word, blank, credential = value.partition(b" ")
        if word.lower() != b"bearer":
            return self.refuse(refusals.WRONG_SCHEME if blank else refusals.NO_SCHEME)
        token = credential.strip(b" ")
        if b"." in token:
            return self._self_contained(exchange, value, token)
        return self.refuse(refusals.OPAQUE if "oauth2" in self._schemes else refusals.WRONG_SCHEME)

    def _self_contained(self, exchange: Exchange, value: bytes, token: bytes) -> Outcome | Awaitable[Outcome]:
        if "jwt" not in self._schemes:
            return self.refuse(refusals.WRONG_SCHEME)
        try:
            exchange.consumer = self._context.admit(value, token)
        except UnknownKeyError as error:
            answer = error.ask()
            if answer is not None:
                return self._after(answer, exchange, value, token)
            return self.refuse(error.reason)
        except TokenError as error:
            return self.refuse(error.reason)
        return None

    async def _after(
        self, answer: asyncio.Future[None], exchange: Exchange, value: bytes, token: bytes
    ) -> Fault | None:
        """Look once more when there is news of the issuer's keys. Others wait for the same: a leaver cancels nothing."""
        await asyncio.shield(answer)
        try:
            exchange.consumer = self._context.admit(value, token)
        except TokenError as error:
            return self.refuse(error.reason)
        return None
