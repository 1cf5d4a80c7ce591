"""Listening to topics of brokers that speak AMQP 0-9-1: RabbitMQ, or the one of WSO2's API manager.

A process has one `Brokers`, and that one connection to each place, whoever listens: each topic is a channel on it. A
listener hears of its topic's messages in their order, and decides itself what losing the broker means. `aiormq` is an extra.
"""

from __future__ import annotations

import asyncio
import logging
import random
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from microgate.runtime.messaging.addresses import Place

EXCHANGE = "amq.topic"
CONNECT_SECONDS = 10.0
GOODBYE_SECONDS = 1.0
LOOK_SECONDS = 1.0  # at whether the broker still sends: one that deletes a queue tells its client alone
UNREAD_MESSAGES = 500  # that the broker sends ahead of our word for a durable queue
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 15.0
FIRM_SECONDS = 10.0  # a broker that was there so long is tried again at once


class BrokerError(Exception):
    """The broker cannot be had; the message says why, to follow "cannot be had: "."""


class Topic(NamedTuple):
    """A topic at one place; `queue` names a durable queue that keeps what comes while nobody listens."""

    place: Place
    name: str
    queue: str = ""


class Listener(Protocol):
    """What hears of a topic. `listening` comes before the first message of each connection, `down` after its last one."""

    async def take(self, body: bytes, headers: dict[str, object]) -> None: ...
    def listening(self) -> None: ...
    def down(self, why: str) -> None: ...


class Brokers:
    """All that one process hears of brokers. `make_tls` is called when a broker is to be reached over TLS."""

    def __init__(self) -> None:
        self._lines: dict[Place, _Line] = {}

    async def follow(self, topic: Topic, listener: Listener, make_tls: Callable[[], SSLContext]) -> None:
        """Listen until the broker is lost. Ends with BrokerError, or the error of `make_tls`; `keep_following` goes on."""
        line = self._lines.setdefault(topic.place, _Line(topic.place))
        line.listeners += 1
        try:
            await _listen(await line.connect(make_tls), topic, listener)
        except (BrokerError, KeyMaterialError):
            raise
        except TimeoutError:
            raise BrokerError("it gives no answer in time") from None
        except Exception as error:  # noqa: BLE001 - the client's reader raises anything at bytes that are no AMQP
            raise BrokerError(_reason(error)) from None
        finally:
            line.listeners -= 1
            if not line.listeners:
                await line.close()

    async def keep_following(self, topic: Topic, listener: Listener, make_tls: Callable[[], SSLContext]) -> None:
        """Listen for ever, trying again ever more slowly while the broker is away, and never in step with other gateways."""
        delay = FIRST_RETRY_SECONDS
        while True:
            begun = monotonic()
            try:
                await self.follow(topic, listener, make_tls)
            except (BrokerError, KeyMaterialError) as error:
                listener.down(str(error))
            if monotonic() - begun >= FIRM_SECONDS:
                delay = FIRST_RETRY_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            delay = min(2 * delay, LONGEST_RETRY_SECONDS)


class _Line:
    """The connection to one place, which is there while anybody listens. The brokers of a place take turns."""

    def __init__(self, place: Place) -> None:
        self.listeners = 0
        self._place = place
        self._turn = 0
        self._connection: Any = None
        self._connecting = asyncio.Lock()

    async def connect(self, make_tls: Callable[[], SSLContext]) -> Any:
        """The connection, made anew where there is none; raises BrokerError, OSError or TimeoutError."""
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                self._connection = await self._open(make_tls)
            return self._connection

    async def _open(self, make_tls: Callable[[], SSLContext]) -> Any:
        import aiormq

        # What its client tells of a lost connection, with a traceback, is told once by whoever listens.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL + 1)
        address = self._place[self._turn % len(self._place)]
        self._turn += 1
        context = make_tls() if address.secure else None
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await aiormq.connect(address.text, context=context)
        # WSO2's broker tells of none, and the client takes it that all do.
        connection.server_properties.setdefault("capabilities", {})
        return connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await _close(connection)


async def _listen(connection: Any, topic: Topic, listener: Listener) -> None:
    async with asyncio.timeout(CONNECT_SECONDS):
        channel = await connection.channel(publisher_confirms=False)
        tag = await _subscribe(channel, topic, listener)
    listener.listening()
    ends = (connection.closing, channel.closing)
    try:
        while tag in channel.consumers and not any(end.done() for end in ends):
            await asyncio.wait(ends, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reasons = [_why(end) for end in ends if end.done()]
        for end in ends:
            end.cancel()
        await _close(channel)
    raise BrokerError(reasons[0] if reasons else "its queue was deleted")


async def _subscribe(channel: Any, topic: Topic, listener: Listener) -> str:
    name = topic.queue
    await channel.basic_qos(prefetch_count=UNREAD_MESSAGES)
    declared = await channel.queue_declare(name, durable=bool(name), exclusive=not name, auto_delete=not name)
    await channel.queue_bind(declared.queue, EXCHANGE, routing_key=topic.name)

    async def take(message: Any) -> None:
        await listener.take(message.body, message.header.properties.headers or {})
        if name:
            await channel.basic_ack(message.delivery.delivery_tag)

    subscribed = await channel.basic_consume(declared.queue, take, no_ack=not name)
    return str(subscribed.consumer_tag)


def _why(ended: asyncio.Future[None]) -> str:
    error = None if ended.cancelled() else ended.exception()
    return _reason(error) if isinstance(error, Exception) else "the connection ended"


async def _close(part: Any) -> None:
    """Say goodbye where there is still somebody to say it to; why a connection or channel ended is known by then."""
    if part.is_closed:
        return
    closing = asyncio.ensure_future(part.close())
    await asyncio.wait([closing], timeout=GOODBYE_SECONDS)
    if closing.done() and not closing.cancelled():
        closing.exception()
    else:
        closing.cancel()


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text).splitlines()[0].lower()
