"""Calls that a request waits for: introspection, user claims, a service that decides. Bounded, shared and given up in time.

A `Service` keeps a few connections to one address, admits so many calls at once, and stops calling for a while when the
service fails in a row. `Shared` makes one call of many that ask for the same.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from microgate.errors import KeyMaterialError
from microgate.runtime.security.breaker import Breaker
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.fetch import FetchError, Question, Reply, ask, connect, parse_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from ssl import SSLContext

    from microgate.runtime.security.counting import Counter

T = TypeVar("T")

MAX_IDLE = 8
MAX_CALLS = 64  # of one worker to one service at once
MAX_WAITING = 1_024  # requests that wait for one of these calls to end
COMPLAIN_SECONDS = 60.0  # between two warnings of one service

log = logging.getLogger("microgate.security")

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ServiceError(Exception):
    """The service gave no answer; the message says why, to follow the service's name."""


class Service:
    """One address that workers call. `name` is how logs call it; `tls` is asked for once, at the first https call."""

    def __init__(
        self,
        name: str,
        url: str,
        tls: Callable[[], SSLContext],
        *,
        timeout_s: float = 5.0,
        counter: Counter = uncounted,
    ) -> None:
        self.name = name
        self._address = parse_address(url)
        self._make_tls = tls
        self._tls: SSLContext | None = None
        self._timeout_s = timeout_s
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._waiting = 0
        self._breaker = Breaker(name)
        self._complained_at = float("-inf")
        self._count_call = counter("service_calls")
        self._count_failure = counter("service_call_failures")

    async def call(self, question: Question) -> Reply:
        """The service's answer, whatever its status; raises ServiceError where there is none, or at once while it is given up.

        A request is sent again once where a kept connection turned out to be dead before anything of an answer came. The
        time that it waits for others counts as the service's.
        """
        self._admit()
        if self._waiting >= MAX_WAITING:
            raise ServiceError(f"is waited for by {MAX_WAITING} requests already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s), self._places:
                self._admit()  # it may have failed meanwhile
                self._breaker.waiting += 1
                self._count_call(1)
                try:
                    reply = await self._call(question)
                finally:
                    self._breaker.waiting -= 1
        except TimeoutError:
            self._fail(f"no answer within {self._timeout_s:g} s")
            raise ServiceError(f"gave no answer within {self._timeout_s:g} s") from None
        except FetchError as error:
            self._fail(str(error))
            raise ServiceError(f"cannot be asked: {error}") from None
        finally:
            self._waiting -= 1
        if reply.status >= 500:
            self._fail(f"it answers {reply.status}")
        else:
            self._breaker.succeed()
        return reply

    def _admit(self) -> None:
        """Raise ServiceError while it is given up; after a pause one call at a time finds out whether it is back."""
        if self._breaker.is_open:
            raise ServiceError("is not asked for a while, it failed several times")

    def complain(self, why: str) -> None:
        """Warn that an answer was of no use, once in a while."""
        now = monotonic()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            log.warning("the %s %s", self.name, why)

    async def _call(self, question: Question) -> Reply:
        while self._idle:
            kept = self._idle.pop()
            if kept[1].transport.is_closing() or kept[0].at_eof():
                kept[1].transport.abort()
                continue
            try:
                return await self._ask(kept, question)
            except FetchError:
                break  # it may have died while nobody looked; a fresh one tells
        if self._address.secure and self._tls is None:
            try:
                self._tls = self._make_tls()
            except (OSError, KeyMaterialError) as error:
                raise FetchError(f"the authorities to trust cannot be read: {error}") from None
        return await self._ask(await connect(self._address, self._tls), question)

    async def _ask(self, connection: Connection, question: Question) -> Reply:
        kept = False
        try:
            reply = await ask(*connection, self._address, question)
            kept = reply.keeps and len(self._idle) < MAX_IDLE
        finally:
            if not kept:
                connection[1].transport.abort()
        if kept:
            self._idle.append(connection)
        return reply

    def _fail(self, why: str) -> None:
        self._count_failure(1)
        self._breaker.fail(why)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()


class Shared(Generic[T]):
    """Many that ask for the same at one time get one answer. One that leaves cancels nothing."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[T]] = {}

    def __len__(self) -> int:
        return len(self._asked)

    async def get(self, key: Hashable, ask_for: Callable[[], Awaitable[T]]) -> T:
        task = self._asked.get(key)
        if task is None:
            task = asyncio.ensure_future(_as_coroutine(ask_for))
            self._asked[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    def _forget(self, key: Hashable, done: asyncio.Task[T]) -> None:
        self._asked.pop(key, None)
        if not done.cancelled():
            done.exception()  # was raised to those who waited; nobody may wait any more


async def _as_coroutine(ask_for: Callable[[], Awaitable[T]]) -> T:
    return await ask_for()
