"""The steward's work for subscriptions: it fetches the event hub's REST resources and answers the workers (WSO2 §6.8).

Everything is fetched at the start and at intervals; a consumer key or subscription that is not among it is asked for when a
worker wants it. While the hub is down the last data stays in use. Workers keep copies: see `hub_records.py`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from microgate.runtime.control import Subscriber, SubscribersChanged, SubscriberWanted
from microgate.runtime.security.calls import Service, ServiceError, Shared
from microgate.runtime.security.fetch import FetchError, Question, make_tls
from microgate.runtime.security.subscriptions.hub_store import HubStore

if TYPE_CHECKING:
    from microgate.plan.model import Api, Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.security.subscriptions.hub_store import Item
    from microgate.settings.model import Settings

KINDS = ("application-key-mappings", "applications", "apis", "subscriptions")
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0
UNKNOWN_SECONDS = 10.0  # what the hub did not know is not asked for again so soon
MAX_UNKNOWN = 10_000
MAX_ASKING = 32
TIMEOUT_SECONDS = 4.0

log = logging.getLogger("microgate.security")


def jobs(plan: Plan, settings: Settings) -> list[Job]:
    """The one job where the settings name an event hub."""
    if not settings.apim.event_hub.enable:
        return []

    async def follow(hub: Hub) -> None:
        await EventHub(plan, settings, hub).run()

    return [follow]


class EventHub:
    """The copy of the hub's data, and what workers ask of it."""

    def __init__(self, plan: Plan, settings: Settings, hub: Hub) -> None:
        configured = settings.apim.event_hub
        self._resources = _Resources(settings)
        self._interval = configured.refresh_interval_in_millis / 1000
        self._apis = {api.id: api for api in plan.apis}
        self._hub = hub
        self._store = HubStore()
        self._loaded = False
        self._trouble = ""
        self._asking: Shared[bool] = Shared()
        self._unknown: dict[tuple[str, str], float] = {}  # asked for in vain -> when
        self._answers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self._hub.subscribe(SubscriberWanted, self._on_wanted)
        failures = 0
        try:
            while True:
                failures = 0 if await self._load() else failures + 1
                delay = self._interval
                if failures:
                    longest = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 16), LONGEST_RETRY_SECONDS)
                    delay = min(longest * (0.5 + random.random() / 2), delay)  # noqa: S311 - spreads calls, no secret
                await asyncio.sleep(delay)
        finally:
            self._resources.close()

    def notify(self, event_type: str, timestamp: float, event: Item) -> None:
        """Take a notification of the hub's topic; workers look their records up anew."""
        if self._store.apply(event_type, timestamp, event):
            self._unknown.clear()
            self._hub.broadcast(SubscribersChanged())

    async def _load(self) -> bool:
        fresh = HubStore()
        try:
            for kind in KINDS:
                fresh.add(kind, await self._resources.get(kind))
        except ServiceError as error:
            if str(error) != self._trouble:
                effect = "its last data stays in use" if self._loaded else "callers are asked for one by one"
                log.warning("the event hub's data cannot be fetched: %s; %s", error, effect)
            self._trouble = str(error)
            return False
        if self._trouble or not self._loaded:
            log.info("the event hub's data is there")
        self._trouble = ""
        self._loaded = True
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
        store, get = self._store, self._resources.get
        if not store.application_of(consumer_key):
            store.add("application-key-mappings", await get("application-key-mappings", consumerKey=consumer_key))
        application = store.application_of(consumer_key)
        if not application:
            return False
        if not store.has_application(application):
            store.add("applications", await get("applications", appId=application))
        if not store.api_id(api.name, api.version):
            store.add("apis", await get("apis", context=api.base_path, version=api.version))
        identity = store.api_id(api.name, api.version)
        if identity:
            store.add("subscriptions", await get("subscriptions", apiId=identity, appId=application))
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


class _Resources:
    """The hub's REST resources, each a list of items."""

    def __init__(self, settings: Settings) -> None:
        configured = settings.apim.event_hub
        base = f"{configured.service_url.rstrip('/')}/{configured.internal_data_context.strip('/')}"
        credentials = base64.b64encode(f"{configured.username}:{configured.password}".encode()).decode()
        self._headers = (("Authorization", f"Basic {credentials}"), ("Accept", "application/json"))
        self._path = urlsplit(base).path
        try:
            self._service: Service | None = Service(
                "event hub", base, partial(make_tls, settings), timeout_s=TIMEOUT_SECONDS
            )
        except FetchError as error:
            self._service, self._trouble = None, f"its address `{configured.service_url}` cannot be used: {error}"

    async def get(self, kind: str, **query: str) -> list[Item]:
        """The items of a resource; raises ServiceError."""
        if self._service is None:
            raise ServiceError(self._trouble)
        target = f"{self._path}/{kind}" + (f"?{urlencode(query)}" if query else "")
        reply = await self._service.call(Question(headers=self._headers, target=target))
        if reply.status == 404 and query:
            return []
        if reply.status != 200:
            raise ServiceError(f"{kind} is answered with {reply.status}")
        try:
            listed = json.loads(reply.body)
        except (ValueError, RecursionError):
            raise ServiceError(f"{kind} is no JSON") from None
        items = listed.get("list") if isinstance(listed, dict) else None
        if not isinstance(items, list):
            raise ServiceError(f"{kind} has no `list`")
        return [item for item in items if isinstance(item, dict)]

    def close(self) -> None:
        if self._service is not None:
            self._service.close()
