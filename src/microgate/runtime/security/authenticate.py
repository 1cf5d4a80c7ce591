"""The stage that finds out who calls: it finds the credential, chooses the scheme, and asks for the verdict (WSO2 §6.1).

A credential that was seen before costs one lookup: a JWT by the header field's bytes, others by their digest
(`recalling.py`). `security` read literally, as an OR of ANDs, is in `literal.py`; what judges a credential is behind
`schemes.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.exchange import Consumer
from microgate.runtime.security import key_places, recalling, refusals, schemes
from microgate.runtime.security.refusals import TokenError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.schemes import Scheme


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where the project opened it."""
    security = operation.security
    if security.opened_by:
        return None
    header = (api.auth_header or context.settings.auth.authorization_header).lower().encode()
    if security.alternatives:
        from microgate.runtime.security import literal

        return literal.link(context, header, api, operation)
    choice = _Choice(context, api, operation)
    if header != b"authorization":
        return _own_header(choice, header)
    decide, recall = choice.decide, choice.recall
    find = context.verdicts.find

    def authenticate(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        value = exchange.authorization
        consumer = find(value) or recall(exchange)
        if consumer is None:
            return decide(exchange, value)
        exchange.consumer = consumer
        return None

    def authenticate_others(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        consumer = recall(exchange)
        if consumer is None:
            return decide(exchange, exchange.authorization)
        exchange.consumer = consumer
        return None

    return authenticate if "jwt" in security.schemes else authenticate_others


def _own_header(choice: _Choice, header: bytes) -> Stage:
    """The stage of an API whose credential comes in a field of another name (WSO2 §3.7)."""

    def authenticate(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        values = exchange.values(header)
        if len(values) > 1:
            return choice.refuse(refusals.REPEATED)
        return choice.decide(exchange, values[0] if values else b"")

    return authenticate


class _Choice:
    """What an operation does with a credential, any one of its schemes being enough."""

    def __init__(self, context: SecurityContext, api: Api, operation: Operation) -> None:
        security = operation.security
        self._faults = context.refusals(refusals.challenged(security))
        self._takes_proofs = refusals.takes_proofs(security)
        self.refuse = self._faults.fault
        self._takes_opaque = "oauth2" in security.schemes
        made = {kind: schemes.of(context, kind, api, operation) for kind in security.schemes}
        self._jwt = made.get("jwt")
        self._opaque = made.get("oauth2")
        self._basic = made.get("basic")
        self._key = made.get("api_key")
        others: tuple[object, ...] = (self._opaque, self._basic, self._key)
        self.recall = recalling.first_of([one.recall for one in others if isinstance(one, schemes.Recalling)])
        self._find_key = key_places.finder(security.key_places)
        self._forward = made.get("forward")
        self._last = self._forward
        self._mark = context.mark
        if self._last is None and ("mutual_tls" in security.schemes or security.optional):
            self._last = schemes.of(context, "mutual_tls", api, operation)

    def decide(self, exchange: Exchange, value: bytes) -> Outcome | Awaitable[Outcome]:
        """Choose by the scheme's exact word: WSO2 searched the value for `basic`, `bearer` and a dot."""
        if not value:
            return self._without_field(exchange)
        word, blank, credential = value.partition(b" ")
        word = word.lower()
        credential = credential.strip(b" ")
        scheme: Scheme | None = None
        reason = refusals.WRONG_SCHEME
        if word == b"dpop" and self._takes_proofs:
            word, value = (
                b"bearer",
                b"Bearer " + credential,
            )  # one verdict for a token; bound_tokens.py asks for the proof
        if word == b"bearer":
            scheme = self._of_token(credential)
            if self._takes_opaque and b"." not in credential:
                reason = refusals.OPAQUE
        elif word == b"basic":
            scheme = self._basic
        elif not blank:
            reason = refusals.NO_SCHEME
        if scheme is not None:
            return self._judge(scheme, exchange, value, credential)
        if self._forward is not None:
            return self._judge(
                self._forward, exchange, b"", b""
            )  # what no other scheme takes is the service's to judge
        return self.refuse(reason)

    def _of_token(self, token: bytes) -> Scheme | None:
        if b"." not in token or (self._opaque is not None and not schemes.looks_self_contained(token)):
            return self._opaque
        return self._jwt

    def _without_field(self, exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        if self._key is not None:
            try:
                key = self._find_key(exchange)
            except TokenError as error:
                return self._faults.of(error)
            if key:
                return self._judge(self._key, exchange, key, key)
        if self._last is not None:
            return self._judge(self._last, exchange, b"", b"")
        return self.refuse(refusals.MISSING)

    def _judge(
        self, scheme: Scheme, exchange: Exchange, value: bytes, credential: bytes
    ) -> Outcome | Awaitable[Outcome]:
        try:
            judged = scheme.judge(exchange, value, credential)
        except TokenError as error:
            return self._faults.of(error)
        if isinstance(judged, Consumer):
            exchange.consumer = judged
            self._mark(judged, credential)
            return None
        return self._later(exchange, judged, credential)

    async def _later(self, exchange: Exchange, judged: Awaitable[Consumer], credential: bytes) -> Fault | None:
        try:
            exchange.consumer = consumer = await judged
        except TokenError as error:
            return self._faults.of(error)
        self._mark(consumer, credential)
        return None
