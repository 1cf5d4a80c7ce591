"""Redis or Valkey as a source: keys that live as long as the tokens would, or the members of one set, and a channel that tells
of new ones at once.

All of them are read at the start and at intervals, beside which the channel goes on being heard. `redis` is an extra.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from math import isfinite
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError
from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.amqp import read_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

ANSWER_SECONDS = 5.0
LISTEN_SECONDS = 1.0
ENTRIES_PER_TURN = 1_000
PROBE_SECONDS = 5


class Feed:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = settings.revocation.redis
        if importlib.util.find_spec("redis") is None:
            raise SettingsError(
                "revocations of Redis need its client, which is not installed", "pip install microgate[redis]"
            )

    async def follow(self, book: Book) -> None:
        from redis.exceptions import RedisError

        client = self._connect()
        try:
            async with client.pubsub() as channel:
                await channel.subscribe(self._redis.channel)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._listen(channel, book))
                    both.create_task(self._read(client, book))
        except* (RedisError, OSError, FeedError) as group:
            raise FeedError(_reason(group)) from None
        finally:
            await client.aclose()

    def _connect(self) -> Any:
        from redis.asyncio import Redis

        options: dict[str, Any] = {}
        if self._redis.url.startswith("rediss:") and self._settings.backend.ca_file:
            options["ssl_ca_certs"] = self._settings.backend.ca_file
        try:
            return Redis.from_url(
                self._redis.url,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                health_check_interval=PROBE_SECONDS,
                **options,
            )
        except ValueError:
            raise FeedError("its address is not valid") from None

    async def _listen(self, channel: Any, book: Book) -> None:
        while True:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=LISTEN_SECONDS)
            if message is not None:
                await book.add(read_message(message["data"], {}))

    async def _read(self, client: Any, book: Book) -> None:
        while True:
            book.begin()
            count = 0
            async for said in self._set(client) if self._redis.set_key else self._keys(client):
                # A piece at a time, so that the store's size costs no memory here.
                await book.add(said)
                count += len(said)
            await book.finish(count)
            await asyncio.sleep(self._redis.poll_interval_in_millis / 1000)

    async def _keys(self, client: Any) -> AsyncIterator[list[object]]:
        prefix = self._redis.key_prefix
        pattern = "".join(f"\\{one}" if one in "*?[]\\^" else one for one in prefix) + "*"
        cursor = 0
        while True:
            cursor, keys = await client.scan(cursor, match=pattern, count=ENTRIES_PER_TURN)
            if keys:
                asked = client.pipeline(transaction=False)
                for key in keys:
                    asked.get(key)
                    asked.pttl(key)
                answers = await asked.execute(raise_on_error=False)
                now = int(time.time())
                found: list[object] = []
                for key, value, life_ms in zip(keys, answers[::2], answers[1::2], strict=True):
                    found += self._said(key[len(prefix.encode()) :], value, life_ms, now)
                yield found
            if cursor == 0:
                return

    async def _set(self, client: Any) -> AsyncIterator[list[object]]:
        """The members of a set, or of a sorted set whose scores are expiries; in turns, which do not hold up the store."""
        name = self._redis.set_key
        kind = await client.type(name)
        if kind == b"none":
            return
        if kind not in (b"set", b"zset"):
            raise FeedError(f"`{name}` is neither a set nor a sorted set")
        cursor = 0
        while True:
            if kind == b"set":
                cursor, members = await client.sscan(name, cursor, count=ENTRIES_PER_TURN)
                yield [one for member in members for one in _of_member(member, None)]
            else:
                cursor, scored = await client.zscan(name, cursor, count=ENTRIES_PER_TURN)
                yield [one for member, score in scored for one in _of_member(member, score)]
            if cursor == 0:
                return

    @staticmethod
    def _said(name: bytes, value: object, life_ms: object, now: int) -> list[object]:
        if isinstance(value, bytes) and value.startswith(b"{"):
            return read_message(value, {})
        if life_ms == -2:  # gone meanwhile
            return []
        said: dict[str, object] = {"token": name.decode(errors="replace")}
        if isinstance(life_ms, int) and life_ms > 0:
            said["expires"] = now - (-life_ms // 1000)
        return [said]


def _of_member(member: bytes, score: float | None) -> list[object]:
    """What a member says: a value, or an entry as JSON. A score is its expiry, unless the entry has one itself."""
    plain: list[object] = [{"token": member.decode(errors="replace")}]
    said = read_message(member, {}) if member.startswith(b"{") else plain
    if score is None or not isfinite(score):
        return said
    return [{"expires": score, **one} if isinstance(one, dict) else one for one in said]


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (str(error) or type(error).__name__).splitlines()[0].lower()
