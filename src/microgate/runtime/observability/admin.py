"""The admin listener: metrics and probes, in the steward, read-only.

Every connection carries one request with GET or HEAD, at most `MAX_HEAD_BYTES` long, and a bounded time; nothing here changes
the gateway. What the pages say comes from callables, see jobs.py.
"""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_HEAD_BYTES = 8_192
MAX_CONNECTIONS = 64
PATIENCE_SECONDS = 10.0
CLOSING_SECONDS = 0.25  # a scraper whose answer is on its way may have it

_CLOSING_STEP_SECONDS = 0.005

log = logging.getLogger("microgate.admin")


class Page(NamedTuple):
    """An answer. `content_type` is sent as it is."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


# From the request's Accept to the answer.
Maker: TypeAlias = "Callable[[str], Page]"


def problem(status: int, message: str) -> Page:
    return Page(status, json.dumps({"status": status, "message": message}).encode(), "application/json")


class Admin:
    """The connections of the listener and the pages by their paths; those of `slow_pages` are made in a thread."""

    def __init__(
        self, pages: Mapping[str, Maker], slow_pages: Mapping[str, Maker], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self.pages = {**pages, **slow_pages}
        self.slow_paths = frozenset(slow_pages)
        self.patience_seconds = patience_seconds
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def connection(self) -> asyncio.Protocol:
        return Connection(self)

    async def close(self, patience_seconds: float = CLOSING_SECONDS) -> None:
        """Let what was asked be answered, then end all connections; nobody may connect any more."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds
        await asyncio.sleep(0)  # for connections that were accepted just now
        while self.connections and loop.time() < deadline:  # noqa: ASYNC110 - there is no event for the last one
            await asyncio.sleep(_CLOSING_STEP_SECONDS)
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """One connection, one request, one answer."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0
        self._answered = False
        self._url = b""
        self._accept = ""

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses
        self._transport = transport
        if len(self._admin.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._admin.connections.add(self)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._admin.patience_seconds, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._admin.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._received += len(data)
        if self._received > MAX_HEAD_BYTES:
            self._send(problem(431, "the request is too large"))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._send(problem(400, "the request asks for an upgrade"))
        except httptools.HttpParserError:
            self._send(problem(400, "the request is malformed"))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # httptools

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"accept":
            self._accept = value.decode("latin-1").lower()

    def on_headers_complete(self) -> None:
        """Answer as soon as the head is known: a body would not be read, the connection ends anyway."""
        if self._answered:
            return
        method = self._parser.get_method()
        path = self._url.partition(b"?")[0].decode("latin-1")
        maker = self._admin.pages.get(path)
        if self._parser.get_http_version() not in {"1.1", "1.0"}:
            self._send(problem(505, "only HTTP/1.1 and HTTP/1.0"))
        elif maker is None:
            known = ", ".join(sorted(self._admin.pages))
            self._send(problem(404, f"there is no such page; there are {known}"))
        elif method not in {b"GET", b"HEAD"}:
            self._send(problem(405, "only GET and HEAD"), "Allow: GET, HEAD\r\n")
        elif path in self._admin.slow_paths:
            self._answered = True
            task = asyncio.get_running_loop().create_task(self._make_slowly(maker, headless=method == b"HEAD"))
            self._admin.tasks.add(task)
            task.add_done_callback(self._admin.tasks.discard)
        else:
            self._send(maker(self._accept), headless=method == b"HEAD")

    # Answers

    async def _make_slowly(self, maker: Maker, *, headless: bool) -> None:
        try:
            page = await asyncio.to_thread(maker, self._accept)
        except Exception:
            log.exception("the page %s failed", self._url.decode("latin-1"))
            page = problem(500, "an unexpected error happened in the gateway")
        self._send(page, headless=headless)

    def _send(self, page: Page, headers: str = "", *, headless: bool = False) -> None:
        self._answered = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\nContent-Type: {page.content_type}\r\n"
            f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            f"Connection: close\r\n{headers}\r\n"
        )
        transport.write(head.encode("latin-1") + (b"" if headless else page.body))
        transport.close()
