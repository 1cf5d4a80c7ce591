"""Revocations as they happen, from a broker that speaks AMQP 0-9-1: RabbitMQ, or the one of WSO2's API manager (§5.5, §6.11).

Messages at one topic: an entry or a list of entries as JSON, a JMS MapMessage, two headers, or a bare value. `messaging/`
knows brokers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.messaging.addresses import place_of
from microgate.runtime.messaging.brokers import BrokerError, Topic
from microgate.runtime.messaging.maps import MAX_MESSAGE_BYTES, is_map, read_map
from microgate.runtime.security.fetch import make_tls
from microgate.runtime.security.revocation.feeds import FeedError

if TYPE_CHECKING:
    from microgate.runtime.messaging.brokers import Brokers
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

KEY = "tokenRevocationConfig.realtime.jmsConnectionProviderUrl"


class Feed:
    def __init__(self, settings: Settings, brokers: Brokers) -> None:
        self._brokers = brokers
        self._make_tls = partial(make_tls, settings)
        realtime = settings.revocation.realtime
        place = place_of(
            KEY,
            realtime.jms_connection_provider_url,
            realtime.jms_connection_username,
            realtime.jms_connection_password,
        )
        self._topic = Topic(place, realtime.jms_connection_topic, realtime.queue)

    async def follow(self, book: Book) -> None:
        try:
            await self._brokers.follow(self._topic, _Listener(book), self._make_tls)
        except BrokerError as error:
            raise FeedError(str(error)) from None


class _Listener:
    """Enters what comes into the book."""

    def __init__(self, book: Book) -> None:
        self.listening = book.listening
        self.down = book.down
        self._add = book.add

    async def take(self, body: bytes, headers: dict[str, object]) -> None:
        await self._add(read_message(body, headers))


def read_message(body: bytes, headers: dict[str, object]) -> list[object]:
    """The entries of a message; one that nobody understands is None, which the book counts."""
    if len(body) > MAX_MESSAGE_BYTES:
        return [None]
    text = body.strip()
    if not text:
        return [{"revokedToken": headers.get("revokedToken"), "ttl": headers.get("ttl")}]
    if text[:1] in (b"{", b"["):
        try:
            found = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            return [None]
        return found if isinstance(found, list) else [_known(found)]
    if is_map(body):
        return [_known(read_map(body))]
    return [text.decode(errors="replace")]


def _known(found: object) -> object:
    """WSO2 adds members that say for whom the message was meant."""
    if isinstance(found, dict) and "revokedToken" in found:
        return {"revokedToken": found["revokedToken"], "ttl": found.get("ttl")}
    return found
