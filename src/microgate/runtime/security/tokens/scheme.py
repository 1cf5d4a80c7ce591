"""The scheme of self-contained tokens: a JWT is verified here and now, with keys that the steward has fetched (WSO2 §6.2)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from microgate.runtime.security.refusals import UnknownKeyError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.security.context import SecurityContext


class SelfContained:
    """Verifies what no verdict is known of; a verdict is kept under the whole value of the field."""

    def __init__(self, context: SecurityContext) -> None:
        self._context = context

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Consumer | Awaitable[Consumer]:
        known = self._context.verdicts.find(value)
        if known is not None:
            return known
        try:
            return self._context.admit(value, credential)
        except UnknownKeyError as error:
            answer = error.ask()
            if answer is None:
                raise
            return self._after(answer, value, credential)

    async def _after(self, answer: asyncio.Future[None], value: bytes, token: bytes) -> Consumer:
        """Look once more when there is news of the issuer's keys. Others wait for the same: a leaver cancels nothing."""
        await asyncio.shield(answer)
        return self._context.admit(value, token)
