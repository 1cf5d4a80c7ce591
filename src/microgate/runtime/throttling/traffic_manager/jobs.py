"""What the steward does in this mode, and what must be right before anything serves."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from microgate.runtime.messaging.addresses import place_of
from microgate.runtime.messaging.brokers import Topic
from microgate.runtime.throttling.traffic_manager.following import TOPIC, Counts, Following
from microgate.runtime.throttling.traffic_manager.publishing import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from microgate.runtime.control import Hub, Job
    from microgate.runtime.messaging.brokers import Brokers
    from microgate.runtime.throttling.traffic_manager.asking import Ask
    from microgate.runtime.throttling.traffic_manager.memory import Region
    from microgate.settings.model import Settings


class Retriever(Protocol):
    """Where the traffic manager's lists are asked for, and the trust with which its broker is reached too."""

    @property
    def ask(self) -> Ask: ...
    @property
    def make_tls(self) -> Callable[[], SSLContext]: ...


class Metrics(Protocol):
    """What is counted, by name."""

    def counter(self, name: str) -> Callable[[int], None]: ...
    def gauge(self, name: str) -> Callable[[int], None]: ...


KEY = "throttlingConfig.jmsConnectionProviderUrl"

log = logging.getLogger("microgate.throttling")


def topic_of(settings: Settings) -> Topic:
    """Where decisions are heard; raises SettingsError, also where the client of AMQP is not installed."""
    throttling = settings.throttling
    place = place_of(
        KEY,
        throttling.jms_connection_provider_url,
        throttling.jms_connection_username,
        throttling.jms_connection_password,
    )
    return Topic(place, TOPIC)


def prove(settings: Settings) -> None:
    """Raise SettingsError where no traffic manager could be heard, and tell what is done in another way than asked for."""
    topic_of(settings)
    if settings.throttling.binary.enabled:
        log.warning(
            "`throttlingConfig.binary` asks for the binary protocol, which is not spoken: events go over HTTP to "
            "`throttleEndpointUrl`; set `binary.enabled = false` to say that this is meant"
        )


def following_jobs(
    settings: Settings, region: Region, brokers: Brokers, retriever: Retriever, metrics: Metrics
) -> list[Job]:
    """To hear the traffic manager; of one steward at a time, since one alone writes."""
    counts = Counts(metrics.counter, metrics.gauge)

    async def follow(_hub: Hub) -> None:
        following = Following(region, retriever.ask, counts)
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(brokers.keep_following(topic_of(settings), following, retriever.make_tls))
                together.create_task(following.keep_fetched())
                together.create_task(following.keep_written())
                together.create_task(following.keep_room())
        finally:
            retriever.ask.close()

    return [follow]


def publishing_jobs(ask: Ask, counter: Callable[[str], Callable[[int], None]]) -> list[Job]:
    """To tell it of the requests of this steward's workers."""
    return [Publishing(ask, counter).run]
