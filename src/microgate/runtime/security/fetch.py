"""One bounded GET for the steward: a key set from the address that the settings name, and from nowhere else.

Redirects are refused, certificates verified, size and time limited. Nothing here reads a token, so no address in one is
ever dialled. `keys.py` calls it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httptools

if TYPE_CHECKING:
    from ssl import SSLContext

    from microgate.settings.model import Settings

MAX_BYTES = 1 << 20
TIMEOUT_SECONDS = 10.0


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


async def fetch(address: Address, tls: SSLContext | None) -> bytes:
    """The body of a 200 answer; raises FetchError."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=tls if address.secure else None
            )
            try:
                writer.write(_request(address))
                return await _read(reader)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise FetchError(f"no answer within {TIMEOUT_SECONDS:g} s") from None
    except OSError as error:
        # asyncio puts its own text in place of the system's.
        text = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else error.strerror
        raise FetchError((text or str(error) or type(error).__name__).lower()) from None
    except UnicodeError:
        raise FetchError("it has a host name that cannot be") from None


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


def _request(address: Address) -> bytes:
    lines = (
        f"GET {address.target} HTTP/1.1",
        f"Host: {address.authority}",
        "Accept: application/jwk-set+json, application/json",
        "User-Agent: microgate",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Answer:
    """Callbacks of the parser."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False
        self.has_head = False
        self.delimited = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        self.delimited |= lowered in (b"content-length", b"transfer-encoding")
        if lowered == b"content-encoding" and value.lower() != b"identity":
            raise FetchError("the answer is compressed")

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > MAX_BYTES:
            raise FetchError(f"the answer is larger than {MAX_BYTES} bytes")

    def on_message_complete(self) -> None:
        self.complete = True


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    received = 0
    while not answer.complete:
        data = await reader.read(65_536)
        if not data:
            # Without a length the end of the connection is the end of the answer.
            if answer.has_head and not answer.delimited:
                break
            raise FetchError("the answer ends too early")
        received += len(data)
        if received > 2 * MAX_BYTES:
            raise FetchError(f"the answer is larger than {MAX_BYTES} bytes")
        _feed(parser, data)
    status = parser.get_status_code()
    if 300 <= status < 400:
        raise FetchError(f"the answer is {status}, and redirects are not followed")
    if status != 200:
        raise FetchError(f"the answer is {status}")
    return bytes(answer.body)


def _feed(parser: httptools.HttpResponseParser, data: bytes) -> None:
    try:
        parser.feed_data(data)
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, FetchError):
            raise error.__context__ from None
        raise FetchError("the answer is not HTTP") from None
    except httptools.HttpParserError:
        raise FetchError("the answer is not HTTP") from None
