"""The scheme of opaque tokens: what a token means only its issuer knows, so it is asked once and remembered (WSO2 §6.3).

The request path waits for the network here and only for a token that is not known; many that bring the same one wait for one
answer. `introspection.py` asks; where 3.x's key-validation service is switched on, `key_validation.py` takes this one's place.
"""

from __future__ import annotations

import re
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from microgate.runtime.security import refusals
from microgate.runtime.security.calls import Shared
from microgate.runtime.security.opaque import introspection, introspection_answers
from microgate.runtime.security.opaque.introspection_answers import ANSWER, NOT_YET_VALID
from microgate.runtime.security.opaque.token_memory import TokenMemory
from microgate.runtime.security.recalling import recall_by
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.schemes import Judgement, Scheme

MAX_TOKEN_BYTES = 4_096
DEFAULT_LEEWAY_SECONDS = 30.0

MALFORMED = Reason("auth.opaque.malformed", "the access token is malformed")

# RFC 6750 §2.1: what a bearer token is made of.
_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")


def make(context: SecurityContext) -> Scheme | None:
    """The scheme that the settings configure; None where they name no key manager, so that nothing is dialled."""
    manager = context.settings.key_manager
    if manager.enable_legacy_mode and manager.server_url:
        from microgate.runtime.security.opaque.key_validation import KeyValidation

        return KeyValidation(context)
    return Opaque(context) if introspection.address_of(manager) else None


def check_form(token: bytes) -> None:
    """Raise TokenError for what no issuer can have given out."""
    if not token:
        raise TokenError(refusals.OPAQUE)
    if len(token) > MAX_TOKEN_BYTES or _TOKEN.fullmatch(token) is None:
        raise TokenError(MALFORMED)


class Opaque:
    """Asks the introspection service of the settings about tokens that it does not remember."""

    def __init__(self, context: SecurityContext) -> None:
        settings = context.settings
        self._service = introspection.Introspection(context)
        self._memory = TokenMemory(context)
        self.recall = recall_by(self._memory.find, self._digest_of)
        self._asked: Shared[Consumer] = Shared()
        self._clock = context.clock
        self._mark = context.mark
        self._issuer = settings.key_manager.issuer
        self._audience = settings.key_manager.audience
        skew_ms = settings.server.timestamp_skew
        self._leeway = DEFAULT_LEEWAY_SECONDS if skew_ms < 0 else skew_ms / 1000

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        # One verdict for a token, however its field is written; `recall` finds it by the usual way of writing.
        digest = self._memory.digest(b"Bearer " + credential)
        known = self._memory.find(digest)
        if known is not None:
            return known
        check_form(credential)
        self._memory.check(digest)
        return self._asked.get(digest, partial(self._ask, credential, digest))

    def _digest_of(self, exchange: Exchange) -> bytes:
        """What has a dot may be a JWT, which is long and has another memory."""
        value = exchange.authorization
        return self._memory.digest(value) if value[:7] == b"Bearer " and b"." not in value else b""

    async def _ask(self, token: bytes, digest: bytes) -> Consumer:
        members, size_bytes = await self._service.ask(token)
        try:
            consumer = introspection_answers.judge(members, self._clock(), self._leeway, self._audience)
        except TokenError as error:
            if error.reason not in (ANSWER, NOT_YET_VALID):
                self._memory.refuse(digest, error)
            raise
        consumer.issuer = consumer.issuer or self._issuer
        consumer.token = blake2b(token, digest_size=16).digest()
        self._mark(consumer, token)
        self._memory.keep(digest, consumer, size_bytes)
        return consumer
