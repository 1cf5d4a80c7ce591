"""Keys of etcd as revocations: listed, and then watched; over the JSON form of its third interface, or over its second (§6.11).

What is left of a key behind the prefix is the revoked value, unless the key's value is an entry. A key that is deleted, or
whose lease ends, is no longer revoked.
"""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from microgate.runtime.security.fetch import FetchError
from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.file import read_value
from microgate.runtime.security.revocation.feeds.web import Site, basic

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

KEYS_PER_PAGE = 5_000
WAIT_SECONDS = 60.0  # for a change, before the second interface is listed again


class Feed:
    def __init__(self, settings: Settings) -> None:
        persistent = settings.revocation.persistent
        self._site = Site(settings, persistent.endpoint_url)
        self._credentials = persistent.username, persistent.password
        self._prefix = persistent.key_prefix.encode()
        self._is_old = urlsplit(persistent.endpoint_url).path.startswith("/v2/keys")

    async def follow(self, book: Book) -> None:
        if self._is_old:
            await self._follow_old(book)
        fields = await self._log_in()
        revision = await self._list(book, fields)
        await self._watch(book, fields, revision + 1)

    # The third interface.

    async def _log_in(self) -> tuple[tuple[str, str], ...]:
        """The field with a token; nothing where the server asks nobody who they are."""
        name, password = self._credentials
        body = msgspec.json.encode({"name": name, "password": password})
        answer = await self._site.post("/v3/auth/authenticate", body)
        if answer.status == 200:
            return (("Authorization", str(_decoded(answer.body).get("token", ""))),)
        if b"authentication is not enabled" in answer.body:
            return ()
        raise FeedError(f"it takes no credentials: the answer is {answer.status}")

    async def _list(self, book: Book, fields: tuple[tuple[str, str], ...]) -> int:
        """Tell of all keys; the revision at which these were all."""
        begin, end = self._prefix, _after(self._prefix)
        revision = 0
        found: list[object] = []
        while True:
            question = {"key": _text(begin), "range_end": _text(end), "limit": KEYS_PER_PAGE, "revision": revision}
            answer = await self._site.post("/v3/kv/range", msgspec.json.encode(question), fields=fields)
            if answer.status != 200:
                raise FeedError(f"the answer is {answer.status}")
            page = _decoded(answer.body)
            revision = revision or int(page.get("header", {}).get("revision", 0))
            keys = page.get("kvs", [])
            found += [self._said(pair) for pair in keys]
            if not page.get("more") or not keys:
                await book.replace(found)
                return revision
            begin = base64.b64decode(keys[-1]["key"]) + b"\0"

    async def _watch(self, book: Book, fields: tuple[tuple[str, str], ...], revision: int) -> None:
        question = {"key": _text(self._prefix), "range_end": _text(_after(self._prefix)), "start_revision": revision}
        body = msgspec.json.encode({"create_request": question})
        async with self._site.ask("/v3/watch", fields=fields, body=body) as answer:
            if answer.status != 200:
                raise FeedError(f"the answer is {answer.status}")
            async for line in answer.lines():
                told = _decoded(line)
                result = told.get("result")
                if not isinstance(result, dict) or result.get("canceled"):
                    raise FeedError("it ended the watch")
                await self._take(book, result.get("events", []))
        raise FeedError("the watch ended")

    async def _take(self, book: Book, events: list[dict[str, Any]]) -> None:
        added = []
        for event in events:
            said = self._said(event["kv"])
            if event.get("type") == "DELETE":
                key = book.key_of(said)
                if key is not None:
                    book.release(key)
            else:
                added.append(said)
        await book.add(added)

    def _said(self, pair: dict[str, str]) -> object:
        value = base64.b64decode(pair.get("value", ""))
        if value.startswith(b"{"):
            return read_value(value)
        return base64.b64decode(pair["key"])[len(self._prefix) :].decode(errors="replace")

    # The second interface.

    async def _follow_old(self, book: Book) -> None:
        fields = (basic(*self._credentials),)
        while True:
            book.begin()
            answer = await self._site.get("?recursive=true", fields=fields)
            if answer.status not in (200, 404):
                raise FeedError(f"the answer is {answer.status}")
            listed = _decoded(answer.body).get("node", {}).get("nodes", []) if answer.status == 200 else []
            now = int(time.time())
            await book.replace([_old_said(node, now) for node in listed])
            index = answer.field("x-etcd-index")
            if not index.isdecimal():
                raise FeedError("it names no index to wait for")
            await self._wait(f"?wait=true&recursive=true&waitIndex={int(index) + 1}", fields)

    async def _wait(self, path: str, fields: tuple[tuple[str, str], ...]) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._site.ask(path, fields=fields) as answer:
                if answer.status not in (200, 400):  # 400: too much has changed since to tell
                    raise FeedError(f"the answer is {answer.status}")
                async for _ in answer.pieces():
                    return
        except TimeoutError:
            return


def _old_said(node: object, now: int) -> object:
    if not isinstance(node, dict) or not isinstance(node.get("key"), str):
        return None
    said: dict[str, object] = {"token": node["key"].rpartition("/")[2]}
    ttl = node.get("ttl")
    if isinstance(ttl, int) and ttl > 0:
        said["expires"] = now + ttl
    return said


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        raise FetchError("the answer is not JSON") from None
    if not isinstance(found, dict):
        raise FetchError("the answer is no object")
    return found


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _after(prefix: bytes) -> bytes:
    """The first key behind all that begin so."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"
