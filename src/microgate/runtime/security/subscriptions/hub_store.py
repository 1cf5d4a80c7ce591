"""What the event hub has said so far: key mappings, applications, APIs and subscriptions (WSO2 §6.8), in the steward's memory.

`event_hub.py` fills it from the hub's REST resources; `apply` takes one notification of its topic. Items come from outside,
so whatever has another shape than it should counts as not there.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from microgate.runtime.exchange import Application
from microgate.runtime.security.subscriptions.stage import Record, normal_title

Item = dict[str, Any]

MAX_ITEMS = 500_000  # of one kind
MAX_TOLD = 50_000  # notifications whose time is remembered

_LONGEST_TIME = 15  # digits

K = TypeVar("K")
V = TypeVar("V")

_VERBS = frozenset({"CREATE", "UPDATE", "DELETE"})
_SUBJECTS = {
    "APPLICATION": (("applicationId",),),
    "APPLICATION_REGISTRATION": (("consumerKey",),),
    "SUBSCRIPTIONS": (("applicationId", "appId"), ("apiId",)),
    "API": (("apiId",),),
}


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
        self._subscriptions: dict[tuple[str, ...], _Subscription] = {}  # application and API
        self._deleted: set[str] = set()  # applications whose keys are still there
        self._told: dict[tuple[str, ...], float] = {}  # what notifications were about -> when the last one was made

    def successor(self) -> HubStore:
        """A store without data that still knows which notifications are too late."""
        store = HubStore()
        store._told = self._told
        return store

    def application_of(self, consumer_key: str) -> str:
        """The id of a consumer key's application, "" for none."""
        application = self._keys.get(consumer_key, ("", ""))[0]
        return "" if application in self._deleted else application

    def has_application(self, application_id: str) -> bool:
        return application_id in self._applications

    def api_id(self, title: str, version: str) -> str:
        """The hub's id of an API, "" for none."""
        return self._apis.get((normal_title(title), version), ("", ""))[0]

    def record(self, consumer_key: str, title: str, version: str) -> Record | None:
        """What is known of a consumer key and an API; None where the key is nobody's."""
        application_id = self.application_of(consumer_key)
        if not application_id:
            return None
        key_type = self._keys[consumer_key][1]
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
        """Take a notification; False for one that changes nothing: of another matter, or older than what is known.

        ON_HOLD and UNBLOCKED may arrive swapped, and a change after the deletion, so the time of the event decides.
        """
        noun, _, verb = event_type.rpartition("_")
        about = _subject_of(noun, event)
        when = _time_of(event) or timestamp
        if about is None or verb not in _VERBS or self._is_late(about, when):
            return False
        self._remember(about, when)
        deleted = verb == "DELETE"
        if noun == "APPLICATION":
            self._delete_application(about[1]) if deleted else self._add_application(event)
        elif noun == "APPLICATION_REGISTRATION":
            self._keys.pop(about[1], None) if deleted else self._add_key(event)
        elif noun == "SUBSCRIPTIONS":
            self._subscriptions.pop(about[1:], None) if deleted else self._add_subscription(event | {"timeStamp": when})
        elif deleted:
            self._delete_api(about[1])
        else:
            self._add_api(event)
        return True

    def _is_late(self, about: tuple[str, ...], when: float) -> bool:
        if not when:
            return False
        known = self._subscriptions.get(about[1:]) if about[0] == "SUBSCRIPTIONS" else None
        return when < self._told.get(about, 0.0) or (known is not None and when < known.timestamp)

    def _remember(self, about: tuple[str, ...], when: float) -> None:
        self._told.pop(about, None)
        if when:
            self._told[about] = when
            if len(self._told) > MAX_TOLD:
                del self._told[next(iter(self._told))]

    def _delete_application(self, identity: str) -> None:
        self._applications.pop(identity, None)
        self._deleted.add(identity)

    def _delete_api(self, identity: str) -> None:
        self._apis = {title: known for title, known in self._apis.items() if known[0] != identity}

    def _add_key(self, item: Item) -> None:
        key, application = _text(item, "consumerKey"), _text(item, "applicationId", "appId")
        if key and application:
            _put(self._keys, key, (application, _text(item, "keyType") or "PRODUCTION"))

    def _add_application(self, item: Item) -> None:
        identity = _text(item, "id", "appId", "applicationId")
        if not identity:
            return
        known = self._applications.get(identity, Application())
        # Notifications do not carry the owner; what was known of it stays.
        application = Application(
            _text(item, "name", "applicationName"),
            identity,
            _text(item, "uuid"),
            _text(item, "subName", "owner") or known.owner,
            _text(item, "policy", "applicationPolicy", "policyId"),
        )
        _put(self._applications, identity, application)
        self._deleted.discard(identity)

    def _add_api(self, item: Item) -> None:
        identity, title = _text(item, "apiId"), _text(item, "name", "apiName")
        if identity and title:
            version = _text(item, "version", "apiVersion")
            _put(self._apis, (normal_title(title), version), (identity, _text(item, "provider", "apiProvider")))

    def _add_subscription(self, item: Item) -> None:
        application, api = _text(item, "appId", "applicationId"), _text(item, "apiId")
        if not application or not api:
            return
        when = _time_of(item)
        known = self._subscriptions.get((application, api))
        if known is None or known.timestamp <= when or not when:
            found = _Subscription(_text(item, "policyId"), _text(item, "subscriptionState"), when)
            _put(self._subscriptions, (application, api), found)


def _subject_of(noun: str, event: Item) -> tuple[str, ...] | None:
    """What a notification is about: its noun with the ids that tell one from another; None where it does not say."""
    names = _SUBJECTS.get(noun)
    if names is None:
        return None
    about = (noun, *(_text(event, *alternatives) for alternatives in names))
    return about if all(about) else None


def _time_of(item: Item) -> float:
    return milliseconds(item.get("timeStamp", item.get("timestamp")))


def milliseconds(value: object) -> float:
    """A time, which some hubs send as a text; 0.0 for what is none."""
    if isinstance(value, str) and len(value) <= _LONGEST_TIME and value.isascii() and value.isdigit():
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15 else 0.0


def _put(table: dict[K, V], key: K, value: V) -> None:
    if key in table or len(table) < MAX_ITEMS:
        table[key] = value


def _text(item: Item, *names: str) -> str:
    """The first of these members that is there; ids are numbers in some versions of the hub, and texts in others."""
    for name in names:
        value = item.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""
