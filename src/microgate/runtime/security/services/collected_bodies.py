"""A backend that is the gateway itself: it takes a request's whole body, bounded by its operation, and answers it.

The built-in services forward to it, so that bodies come to them as they come to any backend. What they answer is in
`../api_keys/key_issuer.py` and `token_services.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Answer, Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import Forward

    Serve = Callable[[Exchange, bytes], Awaitable[Answer | Fault]]

ROOM_BYTES = 65_536

log = logging.getLogger("microgate.security")


def forward_to(serve: Serve) -> Forward:
    """The step that hands an operation's requests to a function of our own."""

    def forward(exchange: Exchange) -> None:
        exchange.attach(CollectedBody(exchange, serve))

    return forward


class CollectedBody:
    """It offers `exchange.Upstream`."""

    __slots__ = ("_exchange", "_pieces", "_serve", "_task")

    def __init__(self, exchange: Exchange, serve: Serve) -> None:
        self._exchange = exchange
        self._serve = serve
        self._pieces: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    def send_body(self, chunk: bytes) -> None:
        self._pieces.append(chunk)

    def send_end(self, trailers: Lines | None) -> None:
        self._task = asyncio.get_running_loop().create_task(self._answer(b"".join(self._pieces)))

    async def _answer(self, body: bytes) -> None:
        exchange = self._exchange
        try:
            outcome = await self._serve(exchange, body)
        except Exception:
            log.exception("a service of the gateway failed: request %s", exchange.request_id)
            outcome = Fault(faults.INTERNAL)
        self._task = None  # whoever answers aborts us, and must not cancel the task that runs
        if isinstance(outcome, Fault):
            exchange.fail(outcome)
        else:
            exchange.answer(outcome)

    def abort(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def room(self) -> int:
        return ROOM_BYTES

    def pause_answer(self) -> None:
        """An answer comes in one piece."""

    def resume_answer(self) -> None:
        """See `pause_answer`."""

    def expect_late(self, until: float) -> None:
        """It waits for as long as the client's side does."""
