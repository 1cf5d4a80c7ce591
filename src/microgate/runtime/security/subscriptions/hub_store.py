"""What the event hub has said so far: key mappings, applications, APIs and subscriptions (WSO2 §6.8), in the steward's memory.

`event_hub.py` fills it from the hub's REST resources; `apply` takes one notification of its topic. Items come from outside,
so whatever has another shape than it should counts as not there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from microgate.runtime.exchange import Application
from microgate.runtime.security.subscriptions.stage import Record, normal_title

Item = dict[str, Any]

MAX_ITEMS = 500_000  # of one kind


class _Subscription(NamedTuple):
    tier: str
    state: str
    timestamp: float


class HubStore:
    """Indexes by what lookups have: a consumer key, an API's title and version."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, str]] = {}  # consumer key -> application, key type
        self._applications: dict[str, Application] = {}
        self._apis: dict[tuple[str, str], tuple[str, str]] = {}  # title and version -> API, provider
        self._subscriptions: dict[tuple[str, str], _Subscription] = {}  # application and API

    def application_of(self, consumer_key: str) -> str:
        """The id of a consumer key's application, "" for none."""
        return self._keys.get(consumer_key, ("", ""))[0]

    def has_application(self, application_id: str) -> bool:
        return application_id in self._applications

    def api_id(self, title: str, version: str) -> str:
        """The hub's id of an API, "" for none."""
        return self._apis.get((normal_title(title), version), ("", ""))[0]

    def record(self, consumer_key: str, title: str, version: str) -> Record | None:
        """What is known of a consumer key and an API; None where the key is nobody's."""
        application_id, key_type = self._keys.get(consumer_key, ("", ""))
        if not application_id:
            return None
        application = self._applications.get(application_id, Application(id=application_id))
        api_id, provider = self._apis.get((normal_title(title), version), ("", ""))
        found = self._subscriptions.get((application_id, api_id))
        if found is None:
            return Record(application, key_type)
        return Record(application, key_type, found.tier, provider, found.state)

    # Filling.

    def add(self, kind: str, items: list[Item]) -> None:
        """Take what a REST resource has listed."""
        add = {
            "application-key-mappings": self._add_key,
            "applications": self._add_application,
            "apis": self._add_api,
            "subscriptions": self._add_subscription,
        }[kind]
        for item in items[:MAX_ITEMS]:
            add(item)

    def apply(self, event_type: str, timestamp: float, event: Item) -> bool:
        """Take a notification; False for one that says nothing here. One that is older than what is known is passed over."""
        if event_type in ("APPLICATION_CREATE", "APPLICATION_UPDATE"):
            self._add_application(event)
        elif event_type == "APPLICATION_DELETE":
            self._applications.pop(_text(event, "applicationId"), None)
            self._forget_keys(_text(event, "applicationId"))
        elif event_type == "APPLICATION_REGISTRATION_CREATE":
            self._add_key(event)
        elif event_type in ("SUBSCRIPTIONS_CREATE", "SUBSCRIPTIONS_UPDATE"):
            # ON_HOLD and UNBLOCKED may arrive swapped, so the time of the event decides.
            self._add_subscription({"timeStamp": timestamp} | event)
        elif event_type == "SUBSCRIPTIONS_DELETE":
            pair = (_text(event, "applicationId"), _text(event, "apiId"))
            known = self._subscriptions.get(pair)
            if known is not None and known.timestamp <= timestamp:
                del self._subscriptions[pair]
        elif event_type in ("API_CREATE", "API_UPDATE"):
            self._add_api(event)
        else:
            return False
        return True

    def _add_key(self, item: Item) -> None:
        key, application = _text(item, "consumerKey"), _text(item, "applicationId", "appId")
        if key and application:
            self._keys[key] = (application, _text(item, "keyType") or "PRODUCTION")

    def _forget_keys(self, application_id: str) -> None:
        self._keys = {key: known for key, known in self._keys.items() if known[0] != application_id}

    def _add_application(self, item: Item) -> None:
        identity = _text(item, "id", "appId", "applicationId")
        if not identity:
            return
        known = self._applications.get(identity, Application())
        # Notifications do not carry the owner; what was known of it stays.
        self._applications[identity] = Application(
            _text(item, "name", "applicationName"),
            identity,
            _text(item, "uuid"),
            _text(item, "subName", "owner") or known.owner,
            _text(item, "policy", "applicationPolicy", "policyId"),
        )

    def _add_api(self, item: Item) -> None:
        identity, title = _text(item, "apiId"), _text(item, "name", "apiName")
        if identity and title:
            version = _text(item, "version", "apiVersion")
            self._apis[normal_title(title), version] = (identity, _text(item, "provider", "apiProvider"))

    def _add_subscription(self, item: Item) -> None:
        application, api = _text(item, "appId", "applicationId"), _text(item, "apiId")
        if not application or not api:
            return
        timestamp = item.get("timeStamp", item.get("timestamp", 0))
        when = float(timestamp) if isinstance(timestamp, int | float) else 0.0
        known = self._subscriptions.get((application, api))
        if known is None or known.timestamp <= when or not when:
            state = _text(item, "subscriptionState")
            self._subscriptions[application, api] = _Subscription(_text(item, "policyId"), state, when)


def _text(item: Item, *names: str) -> str:
    """The first of these members that is there; ids are numbers in some versions of the hub, and texts in others."""
    for name in names:
        value = item.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""
