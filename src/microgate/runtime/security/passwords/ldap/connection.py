"""One connection to an LDAP server: one question at a time, each with its answer. Whoever uses it sets the time limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.security.passwords.ldap import ber
from microgate.runtime.security.passwords.ldap.ber import BerError, Elements

if TYPE_CHECKING:
    import ssl

MAX_MESSAGE_BYTES = 1 << 20
MAX_ENTRIES = 1_000

SUCCESS = 0
SIZE_LIMIT_EXCEEDED = 4
NO_SUCH_OBJECT = 32

_BIND, _BIND_ANSWER = 0x60, 0x61
_SEARCH, _ENTRY, _SEARCH_DONE, _REFERENCE = 0x63, 0x64, 0x65, 0x73
_EXTENDED, _EXTENDED_ANSWER = 0x77, 0x78
_UNBIND = 0x42
_START_TLS = b"1.3.6.1.4.1.1466.20037"


class LdapError(Exception):
    """The server gave no usable answer; the message says why, to follow its name."""


class Address(NamedTuple):
    """Where a server is; `tls` is for the whole connection where `secure`, else for StartTLS, None for neither."""

    host: str
    port: int
    secure: bool
    tls: ssl.SSLContext | None


class Question(NamedTuple):
    """A search. `depth` is 0 for the entry `base` itself, 2 for all below it; `condition` is a filter in BER."""

    base: str
    depth: int
    condition: bytes
    attributes: tuple[str, ...] = ()
    size_limit: int = MAX_ENTRIES


class Entry(NamedTuple):
    """A found entry; attributes by their names in lower case."""

    name: str
    attributes: dict[str, list[str]]


class Connection:
    """Made by `connect`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0

    @property
    def is_usable(self) -> bool:
        return not (self._writer.transport.is_closing() or self._reader.at_eof())

    async def bind(self, name: str, password: bytes) -> int:
        """The server's result code. A name with an empty password would be let in by many servers, as nobody."""
        assert password or not name
        parts = (ber.integer(3), ber.octets(name.encode()), ber.octets(password, 0x80))
        number = await self._send(ber.encode(_BIND, *parts))
        return _result(await self._answer(number, _BIND_ANSWER))

    async def search(self, question: Question) -> list[Entry]:
        """The entries found; none below a base that is not there. Raises LdapError."""
        request = ber.encode(
            _SEARCH,
            ber.octets(question.base.encode()),
            ber.integer(question.depth, ber.ENUMERATED),
            ber.integer(0, ber.ENUMERATED),  # aliases are never followed
            ber.integer(question.size_limit),
            ber.integer(0),
            ber.boolean(False),
            question.condition,
            # "1.1" asks for no attributes at all (RFC 4511 §4.5.1.8).
            ber.encode(ber.SEQUENCE, *(ber.octets(name.encode()) for name in question.attributes or ("1.1",))),
        )
        number = await self._send(request)
        found: list[Entry] = []
        while True:
            tag, content = await self._receive(number)
            if tag == _ENTRY:
                found.append(_entry(content))
                if len(found) > MAX_ENTRIES:
                    raise LdapError("sends more entries than it was asked for")
            elif tag == _SEARCH_DONE:
                code = _result(content)
                if code not in {SUCCESS, SIZE_LIMIT_EXCEEDED, NO_SUCH_OBJECT}:
                    raise LdapError(f"refuses the search with result {code}")
                return found
            elif tag != _REFERENCE:
                raise LdapError("answers a search with something else")

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        number = await self._send(ber.encode(_EXTENDED, ber.octets(_START_TLS, 0x80)))
        code = _result(await self._answer(number, _EXTENDED_ANSWER))
        if code != SUCCESS:
            raise LdapError(f"refuses StartTLS with result {code}")
        # What came before the handshake was not protected by it, and must not be read as if it were.
        if self._reader._buffer:  # type: ignore[attr-defined] # noqa: SLF001 - there is no public way to ask
            raise LdapError("sends more than an answer before TLS begins")
        await self._writer.start_tls(tls, server_hostname=host)

    def close(self) -> None:
        """Say goodbye, and wait for nothing."""
        if self.is_usable:
            self._writer.write(_message(self._number + 1, bytes((_UNBIND, 0))))
        self.abort()

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _send(self, operation: bytes) -> int:
        self._number += 1
        self._writer.write(_message(self._number, operation))
        await self._writer.drain()
        return self._number

    async def _answer(self, number: int, tag: int) -> bytes:
        found, content = await self._receive(number)
        if found != tag:
            raise LdapError("answers something else than it was asked")
        return content

    async def _receive(self, number: int) -> tuple[int, bytes]:
        head = await self._reader.readexactly(2)
        more = ber.length_of_length(head[1])
        size = int.from_bytes(await self._reader.readexactly(more), "big") if more else head[1]
        if head[0] != ber.SEQUENCE or size > MAX_MESSAGE_BYTES:
            raise LdapError("sends something that is no message of LDAP, or too large")
        message = Elements(await self._reader.readexactly(size))
        if message.integer() != number:
            raise LdapError("ends the connection")  # an unsolicited notification has number 0
        return message.next()


async def connect(address: Address) -> Connection:
    """A connection, with TLS where the address says so; raises LdapError."""
    tls = address.tls if address.secure else None
    host = address.host if tls is not None else None
    streams = await asyncio.open_connection(
        address.host, address.port, ssl=tls, server_hostname=host, limit=MAX_MESSAGE_BYTES
    )
    connection = Connection(*streams)
    if address.tls is not None and not address.secure:
        try:
            await connection.start_tls(address.tls, address.host)
        except BaseException:
            connection.abort()
            raise
    return connection


def _message(number: int, operation: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation)


def _result(content: bytes) -> int:
    return Elements(content).integer(ber.ENUMERATED)


def _entry(content: bytes) -> Entry:
    elements = Elements(content)
    name = _text(elements.octets())
    attributes: dict[str, list[str]] = {}
    listed = Elements(elements.octets(ber.SEQUENCE))
    while listed:
        attribute = Elements(listed.octets(ber.SEQUENCE))
        key = _text(attribute.octets()).lower()
        values = Elements(attribute.octets(ber.SET))
        found = attributes.setdefault(key, [])
        while values:
            found.append(_text(values.octets()))
    return Entry(name, attributes)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BerError("a text is no UTF-8") from None
