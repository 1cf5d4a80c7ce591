"""Asks an authorization server about a token (RFC 7662; WSO2 §6.3), as plain JSON or as a signed answer (RFC 9701).

It knows how to ask and what counts as an answer; what the answer means is in `introspection_answers.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from microgate.runtime.security.calls import ServiceError
from microgate.runtime.security.fetch import Question
from microgate.runtime.security.opaque import introspection_answers, service_credentials
from microgate.runtime.security.opaque.introspection_answers import ANSWER, AnswerError
from microgate.runtime.security.refusals import TokenError

if TYPE_CHECKING:
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.fetch import Reply
    from microgate.settings.model import KeyManager

NAME = "introspection service"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = ("Accept", "application/json")
SIGNED = "application/token-introspection+jwt"

log = logging.getLogger("microgate.security")


def address_of(manager: KeyManager) -> str:
    """Where to ask, "" where no key manager is configured."""
    if manager.introspection_url or not manager.server_url:
        return manager.introspection_url
    return f"{manager.server_url.rstrip('/')}/{manager.token_context.strip('/')}/introspect"


class Introspection:
    """One server, asked by one worker."""

    def __init__(self, context: SecurityContext) -> None:
        manager = context.settings.key_manager
        self._service = context.service(NAME, address_of(manager), timeout_s=manager.timeout_in_millis / 1000)
        self._credentials = service_credentials.of(manager.security, context.service)
        self._signed = None
        if manager.introspection_answer == "jwt":
            from microgate.runtime.security.opaque.signed_introspection import SignedAnswers

            self._signed = SignedAnswers(context)
        self._accept = JSON if self._signed is None else ("Accept", SIGNED)

    async def ask(self, token: bytes) -> tuple[dict[str, Any], int]:
        """The members of the answer and its size in bytes; raises TokenError where there is none that can be used."""
        try:
            reply = await self._call(urlencode({"token": token.decode("ascii")}).encode())
            return await self._read(reply), len(reply.body)
        except ServiceError as error:
            self._service.complain(f"{error}")
            raise TokenError(ANSWER) from None
        except AnswerError as error:
            self._service.complain(f"is of no use: its answer {error}")
            raise TokenError(ANSWER) from None

    async def _call(self, body: bytes) -> Reply:
        for is_last in (False, True):
            credentials = await self._credentials.fields()
            reply = await self._service.call(Question("POST", (FORM, self._accept, *credentials), body))
            if reply.status not in (401, 403) or is_last or not self._credentials.refused(credentials):
                break
        return reply

    async def _read(self, reply: Reply) -> dict[str, Any]:
        if 300 <= reply.status < 400:
            raise AnswerError(f"is {reply.status}, and redirects are not followed")
        if reply.status in (401, 403):
            raise AnswerError(f"is {reply.status}: it does not take the gateway's credentials")
        if reply.status != 200:
            raise AnswerError(f"is {reply.status}")
        if self._signed is not None:
            if reply.header("content-type").partition(";")[0].strip().lower() != SIGNED:
                raise AnswerError("is not signed")
            return await self._signed.read(reply.body)
        return introspection_answers.read(reply.body)
