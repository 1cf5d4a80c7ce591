"""The store of WSO2's API manager: a list of revoked tokens behind `/revokedjwt`, read at intervals (§6.11)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.web import Site, basic

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings


class Feed:
    """3.x read the list once; here it is read again, so that it also heals what a broker has lost."""

    def __init__(self, settings: Settings) -> None:
        persistent = settings.revocation.persistent
        self._site = Site(settings, persistent.endpoint_url)
        self._fields = (basic(persistent.username, persistent.password),)
        self._pause = persistent.poll_interval_in_millis / 1000

    async def follow(self, book: Book) -> None:
        tag = ""
        while True:
            book.begin()
            fields = (*self._fields, ("If-None-Match", tag)) if tag else self._fields
            answer = await self._site.get("/revokedjwt", fields=fields)
            if answer.status == 200:
                await book.replace(await asyncio.to_thread(_listed, answer.body))
                tag = answer.field("etag")
            elif answer.status != 304 or not tag:
                raise FeedError(f"the answer is {answer.status}")
            await asyncio.sleep(self._pause)


def _listed(body: bytes) -> list[object]:
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise FeedError("the answer is not JSON") from None
    if not isinstance(found, list):
        raise FeedError("the answer is no list")
    return found
