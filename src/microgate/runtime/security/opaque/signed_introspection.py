"""Answers about tokens that the authorization server has signed (RFC 9701), verified with the keys of `[[jwtTokenConfig]]`.

`introspection.py` asks for them where the settings demand them, and then takes no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.runtime.security.opaque import introspection_answers
from microgate.runtime.security.opaque.introspection_answers import AnswerError
from microgate.runtime.security.refusals import TokenError, UnknownKeyError
from microgate.runtime.security.tokens import issuers
from microgate.runtime.security.tokens.compact import Header, Token, decode_base64url

if TYPE_CHECKING:
    from microgate.runtime.security.context import SecurityContext

TYPE = "token-introspection+jwt"


class SignedAnswers:
    """Verifies answers of one server, whose keys are those of the issuer of its name."""

    def __init__(self, context: SecurityContext) -> None:
        settings = context.settings
        manager = settings.key_manager
        self._name = manager.introspection_issuer or manager.issuer
        entries = tuple(
            msgspec.structs.replace(
                entry, audience=(manager.audience,) if manager.audience else (), claims=(), access_tokens_only=False
            )
            for entry in settings.issuers
            if entry.issuer == self._name
        )
        self._issuers = issuers.load(msgspec.structs.replace(settings, issuers=entries), context.channel, _keep)
        self._clock = context.clock

    async def read(self, body: bytes) -> dict[str, Any]:
        """The members about the token; raises AnswerError."""
        if len(body) > introspection_answers.MAX_ANSWER_BYTES:
            raise AnswerError(f"is larger than {introspection_answers.MAX_ANSWER_BYTES} bytes")
        token = _parse(body)
        try:
            try:
                self._issuers.judge(token, self._clock())
            except UnknownKeyError as error:
                news = error.ask()
                if news is None:
                    raise
                await asyncio.shield(news)
                self._issuers.judge(token, self._clock())
        except TokenError as error:
            raise AnswerError(f"is not signed as it should: {error.reason}") from None
        members = token.claims.get("token_introspection")
        if type(members) is not dict:
            raise AnswerError("says nothing about the token")
        return introspection_answers.check(members)


def _keep() -> None:
    """What a lost key has vouched for was judged when it came; it ends by itself."""


def _parse(body: bytes) -> Token:
    parts = body.strip().split(b".")
    try:
        if len(parts) != 3:
            raise AnswerError("is no signed token")
        header, claims = (introspection_answers.read_object(decode_base64url(part)) for part in parts[:2])
        signature = decode_base64url(parts[2])
    except TokenError:
        raise AnswerError("is no signed token") from None
    kind, algorithm, key_id = header.get("typ"), header.get("alg"), header.get("kid")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") != TYPE:
        raise AnswerError(f"is not of the type {TYPE}")
    if not isinstance(algorithm, str) or not isinstance(key_id, str | None) or {"crit", "b64"} & set(header):
        raise AnswerError("has a header that is not understood")
    return Token(Header(algorithm, key_id), claims, b".".join(parts[:2]), signature)
