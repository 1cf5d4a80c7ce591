"""HTTP to sources of revocations, for documents that are long or never end: an answer is read piece by piece.

Bounded in time until the head is there; a connection whose other side has gone without a word is noticed by keep-alive probes.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httptools

from microgate.runtime.security.fetch import FetchError, connect, make_tls, parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from ssl import SSLContext

    from microgate.runtime.security.fetch import Address
    from microgate.settings.model import Settings

HEAD_SECONDS = 10.0
PIECE_SECONDS = 30.0  # between two pieces of a document
MAX_BYTES = 256 << 20
MAX_LINE_BYTES = 32 << 20
READ_BYTES = 262_144
_PROBES = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))


def basic(username: str, password: str) -> tuple[str, str]:
    """The field with these credentials."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return "Authorization", f"Basic {pair}"


class Site:
    """What is asked at one address. `tls` is made when it is first needed."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.url = url.rstrip("/")
        self._settings = settings
        self._tls: SSLContext | None = None

    @asynccontextmanager
    async def ask(
        self, path: str = "", *, fields: tuple[tuple[str, str], ...] = (), body: bytes | None = None
    ) -> AsyncIterator[Answer]:
        """The answer to a GET, or to a POST of a `body`; raises FetchError, TimeoutError."""
        address = parse_address(self.url + path)
        if address.secure and self._tls is None:
            self._tls = make_tls(self._settings)
        async with asyncio.timeout(HEAD_SECONDS):
            reader, writer = await connect(address, self._tls)
        try:
            for option, value in _PROBES:
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                raw.setsockopt(socket.IPPROTO_TCP, option, value)
            writer.write(_request(address, fields, body))
            answer = Answer(reader)
            async with asyncio.timeout(HEAD_SECONDS):
                await answer.read_head()
            yield answer
        finally:
            writer.transport.abort()

    async def get(self, path: str = "", *, fields: tuple[tuple[str, str], ...] = ()) -> Answer:
        """A whole answer, its body read."""
        async with self.ask(path, fields=fields) as answer:
            await answer.read_body()
            return answer

    async def post(self, path: str, body: bytes, *, fields: tuple[tuple[str, str], ...] = ()) -> Answer:
        async with self.ask(path, fields=fields, body=body) as answer:
            await answer.read_body()
            return answer


def _request(address: Address, fields: tuple[tuple[str, str], ...], body: bytes | None) -> bytes:
    lines = [f"{'GET' if body is None else 'POST'} {address.target} HTTP/1.1", f"Host: {address.authority}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += ["User-Agent: microgate", "Accept: */*", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    if any("\r" in line or "\n" in line for line in lines):
        raise FetchError("a field of the request has a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + (body or b"")


class Answer:
    """An answer that is coming in; the parser's callbacks are its `on_…` methods."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.body = b""
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._fields: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._has_head = False
        self._complete = False

    @property
    def status(self) -> int:
        return int(self._parser.get_status_code())

    def field(self, name: str) -> str:
        """The value of a field with this lower-case name, "" for none."""
        return self._fields.get(name, "")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields[name.lower().decode("latin-1")] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self._complete = True

    async def read_head(self) -> None:
        while not self._has_head:
            await self._read()

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, to its end."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if self._complete:
                return
            await self._read()

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of a body that may never end; raises FetchError where one is too long."""
        rest = b""
        async for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
            if len(rest) > MAX_LINE_BYTES:
                raise FetchError("a line of the answer is too long")

    async def read_body(self) -> None:
        gathered: list[bytes] = []
        size = 0
        pieces = self.pieces()
        while True:
            async with asyncio.timeout(PIECE_SECONDS):
                piece = await anext(pieces, None)
            if piece is None:
                self.body = b"".join(gathered)
                return
            size += len(piece)
            if size > MAX_BYTES:
                raise FetchError(f"the answer is larger than {MAX_BYTES} bytes")
            gathered.append(piece)

    async def _read(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if not data:
            # Without a length the end of the connection is the end of the answer.
            if not self._has_head or "content-length" in self._fields or "transfer-encoding" in self._fields:
                raise FetchError("the answer ends too early")
            self._complete = True
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            raise FetchError("the answer is not HTTP") from None
