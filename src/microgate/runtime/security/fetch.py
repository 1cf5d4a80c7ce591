"""HTTP to services that the settings name: bounded in size and time, verified, never redirected.

Nothing here reads a token, so no address in one is ever dialled. `tokens/keys.py` asks for documents with `fetch`; calls that a
request waits for go through `calls.py`, which keeps connections.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httptools

from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from ssl import SSLContext

    from microgate.settings.model import Settings

MAX_BYTES = 1 << 20
TIMEOUT_SECONDS = 10.0

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class FetchError(Exception):
    """The document could not be had; the message says why, to follow "cannot be fetched: "."""


class Address(NamedTuple):
    """Where to ask, taken apart."""

    secure: bool
    host: str
    port: int
    authority: str
    target: str


def parse_address(url: str) -> Address:
    """Raises FetchError for anything but a plain http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise FetchError("it is no valid address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise FetchError("it must be an http or https address without credentials")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (target + parts.netloc).isascii() or any(character <= " " for character in target + parts.netloc):
        raise FetchError("it has characters that an address may not have")
    secure = parts.scheme == "https"
    return Address(secure, parts.hostname, port or (443 if secure else 80), parts.netloc, target)


class Question(NamedTuple):
    """One request. `headers` have no Host, Content-Length or Connection; `target` is "" for the address's own."""

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    target: str = ""
    max_bytes: int = MAX_BYTES  # of the answer's body


class Reply(NamedTuple):
    """One answer. Names of headers are lower case; `keeps` says that the connection can take another request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keeps: bool

    def header(self, name: str) -> str:
        """All values of a lower-case name, joined; "" for none."""
        return ", ".join(value for key, value in self.headers if key == name)


async def fetch(address: Address, tls: SSLContext | None) -> bytes:
    """The body of a 200 answer to a GET; raises FetchError."""
    accept = ("Accept", "application/jwk-set+json, application/json")
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await connect(address, tls)
            try:
                reply = await ask(reader, writer, address, Question(headers=(accept, ("Connection", "close"))))
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise FetchError(f"no answer within {TIMEOUT_SECONDS:g} s") from None
    if 300 <= reply.status < 400:
        raise FetchError(f"the answer is {reply.status}, and redirects are not followed")
    if reply.status != 200:
        raise FetchError(f"the answer is {reply.status}")
    return reply.body


async def connect(address: Address, tls: SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, handshake done; raises FetchError. The caller bounds the time."""
    try:
        return await asyncio.open_connection(address.host, address.port, ssl=tls if address.secure else None)
    except OSError as error:
        raise _translate(error) from None
    except UnicodeError:
        raise FetchError("it has a host name that cannot be") from None


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address, question: Question
) -> Reply:
    """Send a request and read its answer; raises FetchError. The caller bounds the time."""
    try:
        writer.write(_request(address, question))
        return await _read(reader, question)
    except OSError as error:
        raise _translate(error) from None


def _translate(error: OSError) -> FetchError:
    # asyncio puts its own text in place of the system's.
    text = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else error.strerror
    return FetchError((text or str(error) or type(error).__name__).lower())


def make_tls(settings: Settings) -> SSLContext:
    """Trust for issuers: the system's authorities, the trust store where there is one, and `[httpClients] caFile`."""
    import ssl

    context = ssl.create_default_context()
    if settings.backend.ca_file:
        context.load_verify_locations(cafile=settings.backend.ca_file)
    store = Path(settings.listener.trust_store_path)
    if store.is_file():
        from microgate.runtime.security.keystore import load_key_store

        for certificate in load_key_store(store, settings.listener.trust_store_password).certificates.values():
            context.load_verify_locations(cadata=certificate.decode())
    return context


class Documents:
    """Fetches documents with the trust of the settings, which is read when the first one comes over TLS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: SSLContext | None = None

    async def get(self, address: Address) -> bytes:
        """As `fetch`."""
        if address.secure and self._tls is None:
            try:
                self._tls = make_tls(self._settings)
            except (OSError, KeyMaterialError) as error:
                raise FetchError(f"the authorities to trust cannot be read: {error}") from None
        return await fetch(address, self._tls)


def is_loopback(address: Address) -> bool:
    return address.host in _LOOPBACK


def _request(address: Address, question: Question) -> bytes:
    lines = [f"{question.method} {question.target or address.target} HTTP/1.1", f"Host: {address.authority}"]
    lines += [f"{name}: {value}" for name, value in question.headers]
    lines.append("User-Agent: microgate")
    if question.body or question.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(question.body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise FetchError("a field of the request has a line break")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + question.body


class _Answer:
    """Callbacks of the parser. Informational answers are passed over; whatever follows the final one is an error."""

    def __init__(self, max_bytes: int) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self._max_bytes = max_bytes
        self.keeps = False
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.complete = False
        self.has_head = False
        self.delimited = False

    def on_message_begin(self) -> None:
        if self.complete:
            raise FetchError("the answer is followed by more than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        self.delimited |= lowered in (b"content-length", b"transfer-encoding")
        if lowered == b"content-encoding" and value.lower() != b"identity":
            raise FetchError("the answer is compressed")
        self.headers.append((lowered.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.has_head = self.parser.get_status_code() >= 200

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > self._max_bytes:
            raise FetchError(f"the answer is larger than {self._max_bytes} bytes")

    def on_message_complete(self) -> None:
        if self.has_head:
            self.complete = True
            self.keeps = (
                self.parser.should_keep_alive()
            )  # true only here: the parser forgets the message's framing next
        else:
            self.headers.clear()
            self.delimited = False


async def _read(reader: asyncio.StreamReader, question: Question) -> Reply:
    method, max_bytes = question.method, question.max_bytes
    answer = _Answer(max_bytes)
    parser = answer.parser
    received = 0
    ended = False
    while not answer.complete and not (method == "HEAD" and answer.has_head):
        data = await reader.read(65_536)
        if not data:
            # Without a length the end of the connection is the end of the answer.
            if answer.has_head and not answer.delimited:
                ended = True
                break
            raise FetchError("the answer ends too early")
        received += len(data)
        if received > 2 * max_bytes:
            raise FetchError(f"the answer is larger than {max_bytes} bytes")
        _feed(parser, data)
    keeps = answer.keeps and not ended and method != "HEAD"
    return Reply(parser.get_status_code(), tuple(answer.headers), bytes(answer.body), keeps)


def _feed(parser: httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, FetchError):
            raise error.__context__ from None
        raise FetchError("the answer is not HTTP") from None
    except httptools.HttpParserError:
        raise FetchError("the answer is not HTTP") from None
