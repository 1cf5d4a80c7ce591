"""The steward's work for subscriptions: it keeps a copy of the event hub's data and answers the workers (WSO2 §6.8).

Everything is fetched at the start and at intervals, changes come by the hub's topic (`hub_events.py`); a consumer key or
subscription that is not among it is asked for when a worker wants it. While the hub is down the last data stays in use.
Workers keep copies: see `hub_records.py`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime.control import Subscriber, SubscribersChanged, SubscriberWanted
from microgate.runtime.security.calls import ServiceError, Shared
from microgate.runtime.security.subscriptions.hub_events import Notification, Notifications, topic_of
from microgate.runtime.security.subscriptions.hub_resources import Resources
from microgate.runtime.security.subscriptions.hub_store import HubStore

if TYPE_CHECKING:
    from microgate.plan.model import Api, Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.messaging.brokers import Brokers
    from microgate.settings.model import Settings

KINDS = ("application-key-mappings", "applications", "apis", "subscriptions")
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
HEARING_SECONDS = 1.0  # the start waits so long for the broker, so that what it tells of meanwhile is not fetched twice
GATHER_SECONDS = 0.05  # between two words to the workers that something changed
UNKNOWN_SECONDS = 10.0  # what the hub did not know is not asked for again so soon
MAX_UNKNOWN = 10_000
MAX_ASKING = 32
MAX_MEANWHILE = 10_000  # notifications while everything is fetched

log = logging.getLogger("microgate.security")


def jobs(plan: Plan, settings: Settings, brokers: Brokers) -> list[Job]:
    """The work where the settings name an event hub: to hold its data, and to hear its topic."""
    if not settings.apim.event_hub.enable:
        return []

    async def follow(hub: Hub) -> None:
        event_hub = EventHub(plan, settings, hub)
        topic = topic_of(settings)
        async with asyncio.TaskGroup() as both:
            both.create_task(event_hub.run(hears=topic is not None))
            if topic is not None:
                notifications = Notifications(event_hub.notify, event_hub.on_listening)
                both.create_task(notifications.follow(topic, brokers, settings))

    return [follow]


class EventHub:
    """The copy of the hub's data, and what workers ask of it."""

    def __init__(self, plan: Plan, settings: Settings, hub: Hub) -> None:
        self._resources = Resources(settings)
        self._interval = settings.apim.event_hub.refresh_interval_in_millis / 1000
        self._apis = {api.id: api for api in plan.apis}
        self._hub = hub
        self._store = HubStore()
        self._loaded = False
        self._trouble = ""
        self._asking: Shared[bool] = Shared()
        self._unknown: dict[tuple[str, str], float] = {}  # asked for in vain -> when
        self._answers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()  # everything is to be fetched now
        self._meanwhile: list[Notification] | None = None  # what came while everything is fetched
        self._telling: asyncio.TimerHandle | None = None

    async def run(self, *, hears: bool) -> None:
        """`hears` says that `on_listening` may be called."""
        self._hub.subscribe(SubscriberWanted, self._on_wanted)
        failures = 0
        try:
            if hears:
                await self._rest(HEARING_SECONDS)
            while True:
                self._wake.clear()
                failures = 0 if await self._load() else failures + 1
                delay = self._interval
                if failures:
                    longest = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 16), LONGEST_RETRY_SECONDS)
                    delay = min(longest * (0.5 + random.random() / 2), delay)  # noqa: S311 - spreads calls, no secret
                await self._rest(delay)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            self._resources.close()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    def on_listening(self) -> None:
        """What changed while the broker was away is among the hub's data alone."""
        self._wake.set()

    def notify(self, said: Notification) -> None:
        """Take a notification of the hub's topic; workers look their records up anew."""
        if not self._store.apply(*said):
            return
        if self._meanwhile is not None:
            if len(self._meanwhile) < MAX_MEANWHILE:
                self._meanwhile.append(said)
            else:
                self._wake.set()  # then it is fetched once more
        self._unknown.clear()
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._tell_all)

    def _tell_all(self) -> None:
        self._telling = None
        self._hub.broadcast(SubscribersChanged())

    async def _load(self) -> bool:
        fresh = self._store.successor()
        meanwhile = self._meanwhile = []
        try:
            for kind in KINDS:
                async for items in self._resources.all(kind):
                    fresh.add(kind, items)
        except ServiceError as error:
            if str(error) != self._trouble:
                effect = "its last data stays in use" if self._loaded else "callers are asked for one by one"
                log.warning("the event hub's data cannot be fetched: %s; %s", error, effect)
            self._trouble = str(error)
            return False
        finally:
            self._meanwhile = None
        if self._trouble or not self._loaded:
            log.info("the event hub's data is there")
        self._trouble = ""
        self._loaded = True
        # The lists may have been made before these were.
        for said in meanwhile:
            fresh.apply(*said)
        self._store = fresh
        self._unknown.clear()
        self._hub.broadcast(SubscribersChanged())
        return True

    def _on_wanted(self, slot: int, message: SubscriberWanted) -> None:
        api = self._apis.get(message.api_id)
        if api is None:
            self._tell(slot, message, available=True)  # of another generation
            return
        if self._is_known(message.consumer_key, api) or self._was_asked(message):
            self._tell(slot, message, available=True)
            return
        if len(self._answers) >= MAX_ASKING:
            self._tell(slot, message, available=self._loaded)
            return
        task = asyncio.get_running_loop().create_task(self._answer(slot, message, api))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _is_known(self, consumer_key: str, api: Api) -> bool:
        found = self._store.record(consumer_key, api.name, api.version)
        return found is not None and bool(found.state)

    def _was_asked(self, message: SubscriberWanted) -> bool:
        asked = self._unknown.get((message.consumer_key, message.api_id))
        return asked is not None and monotonic() < asked + UNKNOWN_SECONDS

    async def _answer(self, slot: int, message: SubscriberWanted, api: Api) -> None:
        key = (message.consumer_key, message.api_id)
        try:
            await self._asking.get(key, partial(self._ask, message.consumer_key, api))
        except ServiceError:
            self._tell(slot, message, available=self._loaded)
            return
        if not self._is_known(message.consumer_key, api):
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[key] = monotonic()
        self._tell(slot, message, available=True)

    async def _ask(self, consumer_key: str, api: Api) -> bool:
        """Fetch what is missing of one caller and one API, in the order in which one leads to the next."""
        find = self._resources.find
        if not self._store.application_of(consumer_key):
            self._store.add(
                "application-key-mappings", await find("application-key-mappings", consumerKey=consumer_key)
            )
        application = self._store.application_of(consumer_key)
        if not application:
            return False
        if not self._store.has_application(application):
            self._store.add("applications", await find("applications", appId=application))
        if not self._store.api_id(api.name, api.version):
            self._store.add("apis", await find("apis", context=api.base_path, version=api.version))
        identity = self._store.api_id(api.name, api.version)
        if identity:
            self._store.add("subscriptions", await find("subscriptions", apiId=identity, appId=application))
        return True

    def _tell(self, slot: int, message: SubscriberWanted, *, available: bool) -> None:
        api = self._apis.get(message.api_id)
        record = self._store.record(message.consumer_key, api.name, api.version) if api is not None else None
        answer = Subscriber(message.consumer_key, message.api_id, available or record is not None)
        if record is not None:
            answer = Subscriber(
                message.consumer_key,
                message.api_id,
                available=True,
                known=True,
                application=tuple(record.application),
                key_type=record.key_type,
                tier=record.tier,
                publisher=record.publisher,
                state=record.state,
                good_for_s=self._interval if record.state else UNKNOWN_SECONDS,
            )
        elif answer.available:
            answer = Subscriber(message.consumer_key, message.api_id, available=True, good_for_s=UNKNOWN_SECONDS)
        self._hub.send(slot, answer)
