"""Revocations as they happen, from a broker that speaks AMQP 0-9-1: RabbitMQ, or the one of WSO2's API manager (§5.5, §6.11).

Messages at one topic of `amq.topic`: an entry or a list of entries as JSON, a JMS MapMessage in the form of Qpid's Java
client, two headers, or a bare value. `aiormq` speaks to the broker; it is an extra.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import struct
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from microgate.errors import SettingsError
from microgate.runtime.security.fetch import make_tls
from microgate.runtime.security.revocation.feeds import FeedError

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

EXCHANGE = "amq.topic"
KEY = "tokenRevocationConfig.realtime.jmsConnectionProviderUrl"
CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 5
MAX_MESSAGE_BYTES = 1 << 20
UNREAD_MESSAGES = 500  # that the broker sends ahead of our word for a durable queue
_PORTS = {"amqp": 5672, "amqps": 5671}
# org.apache.qpid.typedmessage.TypedBytesCodes: the values' sizes; texts end with a zero byte.
_SIZES = {1: 1, 2: 1, 4: 2, 5: 2, 6: 4, 7: 8, 8: 4, 9: 8}
_BYTES, _STRING, _NULL = 3, 10, 11
_MAX_MEMBERS = 64


class Address(NamedTuple):
    """One broker; `text` is the URL that the client takes."""

    secure: bool
    text: str


def addresses(url: str, username: str = "", password: str = "") -> list[Address]:
    """The brokers of a setting, in 3.x's form with a `brokerlist` or as a plain URL; raises SettingsError."""
    try:
        parts = urlsplit(url)
        default_port = _PORTS[parts.scheme]
        user = username or unquote(parts.username or "guest")
        secret = password or unquote(parts.password or "guest")
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        options = dict(one.partition("=")[::2] for one in parts.query.split("&"))
        listed = options.get("brokerlist", "").strip("'\"")
        if not listed:
            port = parts.port or default_port
            return [_address(parts.scheme, login, parts.hostname or "", port, unquote(parts.path[1:]) or "/")]
        return [_of_list(one, login, unquote(parts.path[1:])) for one in listed.split(";")]
    except (ValueError, KeyError):
        hint = "write `amqp://user:password@host:5672/vhost`, or with `?brokerlist='tcp://host:5672'` as under 3.x"
        raise SettingsError(f"`{KEY}` is no address of a broker", hint) from None


def _of_list(broker: str, login: str, vhost: str) -> Address:
    parts = urlsplit(broker.strip())
    secure = parts.scheme in ("ssl", "amqps") or "ssl='true" in parts.query
    scheme = "amqps" if secure else "amqp"
    # `carbon` of WSO2's own address is the name by which its broker knows its one virtual host.
    return _address(scheme, login, parts.hostname or "", parts.port or _PORTS[scheme], vhost or "/")


def _address(scheme: str, login: str, host: str, port: int, vhost: str) -> Address:
    if not host:
        raise ValueError(host)
    shown = f"[{host}]" if ":" in host else host
    text = f"{scheme}://{login}@{shown}:{port}/{quote(vhost, safe='')}?heartbeat={HEARTBEAT_SECONDS}"
    return Address(scheme == "amqps", text)


class Feed:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._realtime = realtime = settings.revocation.realtime
        self._addresses = addresses(
            realtime.jms_connection_provider_url, realtime.jms_connection_username, realtime.jms_connection_password
        )
        self._turn = 0
        # What its client tells of a lost connection, with a traceback, is told once by the book.
        logging.getLogger("aiormq").setLevel(logging.CRITICAL + 1)
        if importlib.util.find_spec("aiormq") is None:
            raise SettingsError(
                "revocations of a broker need a client of AMQP, which is not installed", "pip install microgate[amqp]"
            )

    async def follow(self, book: Book) -> None:
        import aiormq
        from aiormq.exceptions import AMQPException

        address = self._addresses[self._turn % len(self._addresses)]
        self._turn += 1
        context = make_tls(self._settings) if address.secure else None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await aiormq.connect(address.text, context=context)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._subscribe(await connection.channel(), book)
                book.listening()
                await asyncio.shield(connection.closing)
            finally:
                await _close(connection)
        except AMQPException as error:
            raise FeedError(_reason(error)) from None
        raise FeedError("the connection ended")

    async def _subscribe(self, channel: Any, book: Book) -> None:
        name = self._realtime.queue
        await channel.basic_qos(prefetch_count=UNREAD_MESSAGES)
        declared = await channel.queue_declare(name, durable=bool(name), exclusive=not name, auto_delete=not name)
        queue = declared.queue
        await channel.queue_bind(queue, EXCHANGE, routing_key=self._realtime.jms_connection_topic)

        async def take(message: Any) -> None:
            await book.add(read_message(message.body, message.header.properties.headers or {}))
            if name:
                await channel.basic_ack(message.delivery.delivery_tag)

        await channel.basic_consume(queue, take, no_ack=not name)


async def _close(connection: Any) -> None:
    """Say goodbye where there is still somebody to say it to; why the connection ended is known by then."""
    closing = asyncio.ensure_future(connection.close())
    await asyncio.wait([closing], timeout=1.0)
    if closing.done() and not closing.cancelled():
        closing.exception()
    else:
        closing.cancel()


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text).splitlines()[0].lower()


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
        except (msgspec.DecodeError, RecursionError):
            return [None]
        return found if isinstance(found, list) else [_known(found)]
    if body[0] == 0:  # the count of members, of which there are less than millions
        return [_known(_read_map(body))]
    return [text.decode(errors="replace")]


def _known(found: object) -> object:
    """WSO2 adds members that say for whom the message was meant."""
    if isinstance(found, dict) and "revokedToken" in found:
        return {"revokedToken": found["revokedToken"], "ttl": found.get("ttl")}
    return found


def _read_map(body: bytes) -> dict[str, object] | None:
    """The members of a map as Qpid's Java client writes it; None for anything else."""
    try:
        count = struct.unpack_from(">i", body)[0]
        position = 4
        found: dict[str, object] = {}
        if count > _MAX_MEMBERS:
            return None
        for _ in range(count):
            name, position = _read_text(body, position)
            found[name], position = _read_member(body, position)
    except (struct.error, IndexError, ValueError):
        return None
    return found


def _read_text(body: bytes, position: int) -> tuple[str, int]:
    end = body.index(b"\0", position)
    return body[position:end].decode(errors="replace"), end + 1


def _read_member(body: bytes, position: int) -> tuple[object, int]:
    kind = body[position]
    position += 1
    if kind == _STRING:
        return _read_text(body, position)
    if kind == _NULL:
        return None, position
    if kind == _BYTES:
        return None, position + 4 + max(0, struct.unpack_from(">i", body, position)[0])
    size = _SIZES.get(kind)
    if size is None:
        raise ValueError(kind)
    if kind in (4, 6, 7):
        return int.from_bytes(body[position : position + size], "big", signed=True), position + size
    return None, position + size
