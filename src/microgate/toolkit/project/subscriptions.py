"""Reads subscriptions.yaml: the applications that a project knows, what they subscribed to, and who is blocked. Whether the APIs
and tiers exist is the compiler's business (`rules/subscriptions.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.plan.model import ProjectApplication, ProjectSubscription, Subscribers
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.cursor import Cursor, Located
from microgate.toolkit.openapi.document import whole_file
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import Reader
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Spot
    from microgate.toolkit.openapi.folder import Folder

STATES = ("UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "TIER_UPDATE_PENDING")
NEARLY = ("subscriptions.yml", "subscriptions.json")
ROOT_KEYS = ("required", "applications", "blocked")
APPLICATION_KEYS = ("name", "owner", "tier", "productionKeys", "sandboxKeys", "subscriptions")
SUBSCRIPTION_KEYS = ("api", "version", "tier", "state")
BLOCKED_KEYS = ("consumerKeys", "callers", "applications")


@dataclass
class SubscriptionsFile:
    """What the file says, and the places of what it names."""

    subscribers: Subscribers
    apis: list[tuple[Located[str], str]] = field(default_factory=list)  # title, version
    tiers: list[tuple[Located[str], str]] = field(default_factory=list)  # name, level


def read(folder: Folder, report: Report) -> SubscriptionsFile | None:
    """The file of a project; None where there is none."""
    path = folder.root / layout.SUBSCRIPTIONS
    if not path.exists():
        for name in NEARLY:
            if (folder.root / name).exists():
                message = f"is not read: subscriptions are in `{layout.SUBSCRIPTIONS}`"
                report.add(whole_file(catalogue.SUBSCRIPTION_VALUE, message, name, "rename the file"))
        return None
    document = folder.read(path, report, may_be_empty=True)
    if document is None or document.root is None:
        return None
    root = Cursor(document, document.root)
    if root.kind == "null":
        return None
    reader = Reader(report, catalogue.SUBSCRIPTION_VALUE)
    if not root.is_mapping:
        message = f"`{layout.SUBSCRIPTIONS}` must be a mapping, not {root.kind}"
        report.add(root.spot.diagnostic(catalogue.SUBSCRIPTION_VALUE, message))
        return None
    return _File(reader).read(root)


class _File:
    """One reading: applications in their order, and the keys seen so far."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._places: dict[str, Spot] = {}  # of consumer keys and, behind a blank, of names
        self._found = SubscriptionsFile(Subscribers())

    def read(self, root: Cursor) -> SubscriptionsFile:
        for key, member in root.members():
            if key not in ROOT_KEYS:
                hint = did_you_mean(key, ROOT_KEYS, f"known keys: {', '.join(ROOT_KEYS)}")
                message = f"unknown key `{shown(key)}`"
                self._reader.report.add(member.key_spot.diagnostic(catalogue.SUBSCRIPTION_VALUE, message, hint))
        required, applications, blocked = (root.get(key) for key in ROOT_KEYS)
        demanded = True if required is None else self._reader.boolean(required)
        known = [] if applications is None else [self._application(item) for item in self._reader.items(applications)]
        lists: list[tuple[str, ...]] = [(), (), ()]
        if blocked is not None and self._reader.mapping(blocked, BLOCKED_KEYS):
            lists = [self._texts(blocked.get(key)) for key in BLOCKED_KEYS]
        self._found.subscribers = Subscribers(
            applications=tuple(one for one in known if one is not None),
            required=demanded is not False,
            blocked_keys=lists[0],
            blocked_names=lists[1],
            blocked_applications=lists[2],
        )
        return self._found

    def _application(self, item: Cursor) -> ProjectApplication | None:
        if not self._reader.mapping(item, APPLICATION_KEYS):
            return None
        name = item.get("name")
        if name is None:
            self._reader.missing(item, "name")
            return None
        keys = {key: self._texts(item.get(key), unique=True) for key in ("productionKeys", "sandboxKeys")}
        if not any(keys.values()):
            hint = "without a key no caller can be this application's"
            self._reader.missing(item, "productionKeys", hint)
        subscriptions = item.get("subscriptions")
        listed = [] if subscriptions is None else self._reader.items(subscriptions)
        found = [one for entry in listed if (one := self._subscription(entry)) is not None]
        self._claim(f" {name.text}", name)
        return ProjectApplication(
            name=self._reader.text(name) or "",
            owner=self._text(item.get("owner")),
            tier=self._tier(item.get("tier"), "application"),
            production_keys=keys["productionKeys"],
            sandbox_keys=keys["sandboxKeys"],
            subscriptions=tuple(found),
        )

    def _subscription(self, entry: Cursor) -> ProjectSubscription | None:
        if not self._reader.mapping(entry, SUBSCRIPTION_KEYS):
            return None
        api, version, tier, state = (entry.get(key) for key in SUBSCRIPTION_KEYS)
        if api is None:
            self._reader.missing(entry, "api")
            return None
        title = self._reader.text(api)
        number = "*" if version is None else self._reader.text(version)
        word = "UNBLOCKED" if state is None else self._reader.choice(state, STATES)
        if title is None or number is None or word is None:
            return None
        self._found.apis.append((Located(title, api.spot), number))
        return ProjectSubscription(api=title, version=number, tier=self._tier(tier, "subscription"), state=word)

    def _tier(self, cursor: Cursor | None, level: str) -> str:
        name = self._text(cursor)
        if cursor is not None and name:
            self._found.tiers.append((Located(name, cursor.spot), level))
        return name

    def _text(self, cursor: Cursor | None) -> str:
        return "" if cursor is None else self._reader.text(cursor) or ""

    def _texts(self, cursor: Cursor | None, *, unique: bool = False) -> tuple[str, ...]:
        found = []
        for item in [] if cursor is None else self._reader.items(cursor):
            text = self._reader.text(item)
            if text is not None:
                found.append(text)
                if unique:
                    self._claim(text, item)
        return tuple(found)

    def _claim(self, text: str, cursor: Cursor) -> None:
        """A key or a name is one application's alone."""
        first = self._places.setdefault(text, cursor.spot)
        if first.place != cursor.spot.place:
            message = f"`{text.strip()}` stands twice; first at {first.where}"
            self._reader.report.add(cursor.spot.diagnostic(catalogue.SUBSCRIPTION_TWICE, message))
