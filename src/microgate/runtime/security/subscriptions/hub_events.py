"""The event hub's topic `notification` (WSO2 §6.8): what changes among applications, keys, APIs and subscriptions.

This reads messages, which may hold anything, and says how the broker is; `event_hub.py` takes what they say.
"""

from __future__ import annotations

import base64
import binascii
import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.messaging.addresses import place_of
from microgate.runtime.messaging.brokers import Topic
from microgate.runtime.messaging.maps import read_members, read_object
from microgate.runtime.security.fetch import make_tls
from microgate.runtime.security.subscriptions.hub_store import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.messaging.brokers import Brokers
    from microgate.runtime.security.subscriptions.hub_store import Item
    from microgate.settings.model import Settings

TOPIC = "notification"
KEY = "apim.eventHub.eventListeningEndpoints"
COMPLAIN_SECONDS = 60.0

log = logging.getLogger("microgate.security")


class Notification(NamedTuple):
    """`timestamp` is in milliseconds since 1970, by the hub's clock; 0 where the hub does not say."""

    event_type: str
    timestamp: float
    event: Item


def topic_of(settings: Settings) -> Topic | None:
    """Where to listen, None where the settings name no broker; raises SettingsError."""
    endpoint = settings.apim.event_hub.event_listening_endpoints
    return Topic(place_of(KEY, endpoint), TOPIC) if endpoint else None


class Notifications:
    """Listens for ever. `notify` gets what can be read, `on_listening` is called when nothing is missed from then on."""

    def __init__(self, notify: Callable[[Notification], None], on_listening: Callable[[], None]) -> None:
        self._notify = notify
        self._on_listening = on_listening
        self._trouble: str | None = None
        self._complained_at = float("-inf")

    async def follow(self, topic: Topic, brokers: Brokers, settings: Settings) -> None:
        await brokers.keep_following(topic, self, partial(make_tls, settings))

    async def take(self, body: bytes, headers: dict[str, object]) -> None:
        found = read_notification(body, headers)
        if found is not None:
            self._notify(found)
        elif monotonic() - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = monotonic()
            log.warning("a message at the event hub's topic `%s` cannot be read; it is passed over", TOPIC)

    def listening(self) -> None:
        if self._trouble != "":
            log.info("the event hub's broker is there: it tells of changes as they happen")
        self._trouble = ""
        self._on_listening()

    def down(self, why: str) -> None:
        if not self._trouble:
            log.warning("the event hub's broker cannot be had: %s; changes are found at intervals", why)
        self._trouble = why


def read_notification(body: bytes, headers: dict[str, object]) -> Notification | None:
    """What a message says, None for one that nobody understands: a JMS map, JSON, or headers without a body."""
    members = read_members(body, headers)
    if members is None:
        return None
    event_type, event = members.get("eventType"), members.get("event")
    if isinstance(event, str | bytes):
        event = read_object(_decoded(event))
    if not isinstance(event_type, str) or not isinstance(event, dict):
        return None
    return Notification(event_type, milliseconds(members.get("timestamp")), event)


def _decoded(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
