"""Redis or Valkey as a source: keys that live as long as the tokens would, and a channel that tells of new ones at once.

All keys are read at the start and at intervals, beside which the channel goes on being heard. `redis` is an extra.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from typing import TYPE_CHECKING, Any

from microgate.errors import SettingsError
from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.amqp import read_message

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

ANSWER_SECONDS = 5.0
LISTEN_SECONDS = 1.0
KEYS_PER_TURN = 1_000
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
            await book.replace(await self._keys(client))
            await asyncio.sleep(self._redis.poll_interval_in_millis / 1000)

    async def _keys(self, client: Any) -> list[object]:
        prefix = self._redis.key_prefix
        pattern = "".join(f"\\{one}" if one in "*?[]\\^" else one for one in prefix) + "*"
        found: list[object] = []
        cursor = 0
        while True:
            cursor, keys = await client.scan(cursor, match=pattern, count=KEYS_PER_TURN)
            if keys:
                asked = client.pipeline(transaction=False)
                for key in keys:
                    asked.get(key)
                    asked.pttl(key)
                answers = await asked.execute(raise_on_error=False)
                now = int(time.time())
                for key, value, life_ms in zip(keys, answers[::2], answers[1::2], strict=True):
                    found += self._said(key[len(prefix.encode()) :], value, life_ms, now)
            if cursor == 0:
                return found

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


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return (str(error) or type(error).__name__).splitlines()[0].lower()
