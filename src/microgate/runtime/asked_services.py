"""Calls of the steward to services of the settings, for rooms that know no HTTP client of their own."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from microgate.runtime.security.calls import Service, ServiceError
from microgate.runtime.security.fetch import Question, make_tls
from microgate.runtime.throttling.traffic_manager.asking import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from microgate.runtime.throttling.traffic_manager.asking import Ask
    from microgate.settings.model import Settings

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 4 << 20


class Asked(NamedTuple):
    """A service, and the trust with which others are to be reached too."""

    ask: Ask
    make_tls: Callable[[], SSLContext]


def event_receiver(settings: Settings) -> Ask:
    """Where a traffic manager takes events."""
    throttling = settings.throttling
    login = throttling.throttle_endpoint_base64_header
    return _Asker(settings, "traffic manager's receiver", throttling.throttle_endpoint_url, login)


def data_retriever(settings: Settings) -> Asked:
    """Where a traffic manager lists key templates and blocks."""
    configured = settings.throttling.data_retriever
    login = f"{configured.username}:{configured.password}"
    return Asked(_Asker(settings, "traffic manager's data", configured.server_url, login), partial(make_tls, settings))


class _Asker:
    """Asks below an http or https address, with `login` (`user:password`) as Basic; `name` is how logs call the service."""

    def __init__(self, settings: Settings, name: str, url: str, login: str) -> None:
        base = url.rstrip("/")
        self._name = name
        self._service = Service(name, base, partial(make_tls, settings), timeout_s=TIMEOUT_SECONDS)
        self._path = urlsplit(base).path
        credentials = base64.b64encode(login.encode()).decode()
        self._headers = (("Authorization", f"Basic {credentials}"), ("Accept", "application/json"))
        self.close = self._service.close

    async def __call__(self, below: str, body: bytes) -> tuple[int, bytes]:
        question = Question(
            method="POST" if body else "GET",
            headers=(*self._headers, ("Content-Type", "application/json")) if body else self._headers,
            body=body,
            target=f"{self._path}/{below}",
            max_bytes=MAX_ANSWER_BYTES,
        )
        try:
            reply = await self._service.call(question)
        except ServiceError as error:
            raise NoAnswer(f"the {self._name} {error}") from None
        return reply.status, reply.body
