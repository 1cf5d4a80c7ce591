"""The event hub's REST resources (WSO2 §6.8): what all of one kind are, and what there is of one caller or API.

The lists of the start may be as large as the settings say; answers about one caller are small. `event_hub.py` asks.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from microgate.runtime.security.calls import Service, ServiceError
from microgate.runtime.security.fetch import MAX_BYTES, FetchError, Question, make_tls
from microgate.runtime.security.subscriptions.hub_store import MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from microgate.runtime.security.subscriptions.hub_store import Item
    from microgate.settings.model import Settings

TIMEOUT_SECONDS = 4.0
LIST_SECONDS = 60.0  # for a whole list, which no request waits for
PIECE = 500  # items between two turns of the loop

log = logging.getLogger("microgate.security")


class _Listed(msgspec.Struct):
    """The form of every answer. Items are read one by one, so that one that is broken costs no other."""

    items: list[msgspec.Raw] = msgspec.field(name="list")


class Resources:
    """Lists and lookups are given up apart from each other: a list that is too large says nothing of lookups."""

    def __init__(self, settings: Settings) -> None:
        configured = settings.apim.event_hub
        base = f"{configured.service_url.rstrip('/')}/{configured.internal_data_context.strip('/')}"
        credentials = base64.b64encode(f"{configured.username}:{configured.password}".encode()).decode()
        self._headers = (("Authorization", f"Basic {credentials}"), ("Accept", "application/json"))
        self._path = urlsplit(base).path
        self._max_list_bytes = configured.max_list_bytes
        self._services: tuple[Service, ...] = ()
        self._told: set[str] = set()
        try:
            self._services = tuple(
                Service(name, base, partial(make_tls, settings), timeout_s=timeout_s)
                for name, timeout_s in (("event hub", TIMEOUT_SECONDS), ("event hub's lists", LIST_SECONDS))
            )
        except FetchError as error:
            self._trouble = f"its address `{configured.service_url}` cannot be used: {error}"

    async def find(self, kind: str, **query: str) -> list[Item]:
        """The items that a resource has of what is asked for; raises ServiceError."""
        raw = await self._get(0, f"{kind}?{urlencode(query)}", kind, MAX_BYTES)
        return [item for one in raw[:MAX_ITEMS] if (item := _read(one)) is not None]

    async def all(self, kind: str) -> AsyncIterator[list[Item]]:
        """All items of a resource, in pieces that leave the loop room; raises ServiceError."""
        raw = await self._get(1, kind, kind, self._max_list_bytes)
        if len(raw) > MAX_ITEMS and kind not in self._told:
            self._told.add(kind)
            log.error("the event hub lists %d %s: only %d are held, the rest is unknown", len(raw), kind, MAX_ITEMS)
        for begin in range(0, min(len(raw), MAX_ITEMS), PIECE):
            yield [item for one in raw[begin : begin + PIECE] if (item := _read(one)) is not None]
            await asyncio.sleep(0)

    async def _get(self, service: int, target: str, kind: str, max_bytes: int) -> list[msgspec.Raw]:
        if not self._services:
            raise ServiceError(self._trouble)
        question = Question(headers=self._headers, target=f"{self._path}/{target}", max_bytes=max_bytes)
        reply = await self._services[service].call(question)
        if reply.status == 404 and target != kind:
            return []
        if reply.status != 200:
            raise ServiceError(f"{kind} is answered with {reply.status}")
        try:
            return msgspec.json.decode(reply.body, type=_Listed).items
        except msgspec.ValidationError:
            raise ServiceError(f"{kind} has no `list`") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ServiceError(f"{kind} is no JSON") from None

    def close(self) -> None:
        for service in self._services:
            service.close()


def _read(raw: msgspec.Raw) -> dict[str, Any] | None:
    try:
        item = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return item if isinstance(item, dict) else None
