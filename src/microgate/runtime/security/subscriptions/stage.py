"""The stage that asks whether the caller's application has subscribed to the API, and is not blocked (WSO2 §6.8).

What is known of applications comes from the token itself, from the project (subscriptions.yaml), or from the event hub by
way of the steward (`hub_records.py`); the answer is kept with the caller until the records change.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from microgate.errors import SettingsError
from microgate.runtime import faults
from microgate.runtime.exchange import Application, Subscription
from microgate.runtime.security.refusals import Reason

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation, Plan, Subscribers
    from microgate.runtime.control import Channel
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Outcome, Stage
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.subscriptions.hub_records import HubRecords
    from microgate.settings.model import Settings

BLOCKED = Reason("auth.subscription.blocked", kind=faults.SUBSCRIPTION_BLOCKED)
CONSUMER_BLOCKED = Reason("auth.subscription.consumer", kind=faults.SUBSCRIPTION_BLOCKED)
MISSING = Reason("auth.subscription.missing", kind=faults.NOT_SUBSCRIBED)
INACTIVE = Reason("auth.subscription.inactive", kind=faults.SUBSCRIPTION_INACTIVE)
UNAVAILABLE = Reason("auth.subscription.unavailable", kind=faults.SUBSCRIPTIONS_UNAVAILABLE)
_REASONS: dict[str, Reason] = {one: one for one in (BLOCKED, CONSUMER_BLOCKED, MISSING, INACTIVE, UNAVAILABLE)}

PRODUCTION = "PRODUCTION"
SUPER_TENANT = "carbon.super"
_TIER_LEVELS = frozenset({"subscription", "application"})  # of limits, by which a subscription's tier is asked for
# Credentials that belong to an application; an API key says itself what it is good for.
_OF_APPLICATIONS = frozenset({"jwt", "oauth2"})
_ALLOWED = frozenset({"UNBLOCKED", "TIER_UPDATE_PENDING"})


class Record(NamedTuple):
    """What one source says of a caller's application and of its subscription to one API; `state` is "" without one."""

    application: Application
    key_type: str = ""  # "" where the source does not say
    tier: str = ""
    publisher: str = ""
    state: str = ""
    tenant: str = ""


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where it is open or nothing is known of subscriptions."""
    subscriptions = context.subscriptions
    security = operation.security
    if subscriptions is None or security.opened_by:
        return None
    kinds = {member.kind for alternative in security.alternatives for member in alternative} or set(security.schemes)
    refuse = context.refusals(tuple(sorted(kinds))).fault
    api_id = api.id

    def check(exchange: Exchange) -> Outcome | Awaitable[Outcome]:
        consumer = exchange.consumer
        if consumer is None:
            return None  # one alternative of the operation lets anybody in
        if exchange.beside and any(subscriptions.blocks(who) for who in exchange.beside):
            return refuse(CONSUMER_BLOCKED)
        found = consumer.subscriptions.get(api_id)
        if found is None or found.epoch != subscriptions.epoch:
            judged = subscriptions.judge(consumer, api)
            if not isinstance(judged, Subscription):
                return later(judged)
            found = judged
        return refuse(_REASONS[found.refusal]) if found.refusal else None

    async def later(judging: Awaitable[Subscription]) -> Fault | None:
        found = await judging
        return refuse(_REASONS[found.refusal]) if found.refusal else None

    return check


def blocking(context: SecurityContext, operation: Operation) -> Stage | None:
    """The stage of a service of the gateway's own, which nobody subscribes to; None where nobody can be blocked."""
    subscriptions = context.subscriptions
    if subscriptions is None:
        return None
    refusal = context.refusals(operation.security.schemes).fault(CONSUMER_BLOCKED)

    def check(exchange: Exchange) -> Fault | None:
        return refusal if exchange.consumer is not None and subscriptions.blocks(exchange.consumer) else None

    return check


class Subscriptions:
    """All that one worker knows of subscriptions. `epoch` changes when records do."""

    def __init__(self, settings: Settings, project: Subscribers | None, hub: HubRecords | None) -> None:
        self._hub = hub
        self._project = _Project(project) if project is not None else None
        self._apis = {
            (normal_title(one.name), one.version): one.validate_subscriptions for one in settings.security.apis
        }
        self._required = settings.security.validate_subscriptions or (project is not None and project.required)

    @property
    def epoch(self) -> int:
        return self._hub.epoch if self._hub is not None else 0

    def blocks(self, consumer: Consumer) -> bool:
        """Whether the project shuts this caller out, whatever it asks for."""
        return self._project is not None and self._project.blocks(consumer)

    def judge(self, consumer: Consumer, api: Api) -> Subscription | Awaitable[Subscription]:
        """What the caller's subscription to the API says, kept with the caller; an awaitable where the steward is asked."""
        if self.blocks(consumer):
            return self._keep(consumer, api, Subscription(refusal=CONSUMER_BLOCKED))
        if consumer.credential not in _OF_APPLICATIONS:
            return self._keep(consumer, api, Subscription())
        record = from_token(consumer.claims, api)
        if record is None and self._project is not None:
            record = self._project.find(consumer.consumer_key, api)
        if record is None and self._hub is not None and consumer.consumer_key:
            asked = self._hub.find(consumer.consumer_key, api.id)
            if isinstance(asked, Awaitable):
                return self._after(asked, consumer, api)
            record = asked
        return self._settle(record, consumer, api)

    async def _after(self, asked: Awaitable[Record | None], consumer: Consumer, api: Api) -> Subscription:
        try:
            record = await asked
        except ConnectionError:
            return Subscription(refusal=UNAVAILABLE if self._demands(consumer, api) else "", epoch=self.epoch)
        return self._settle(record, consumer, api)

    def _settle(self, record: Record | None, consumer: Consumer, api: Api) -> Subscription:
        found = Subscription(refusal=MISSING)
        if record is not None:
            if record.application.name:
                consumer.application_details = record.application
                consumer.application = record.application.name
            consumer.key_type = record.key_type or consumer.key_type
            if self.blocks(consumer):
                return self._keep(consumer, api, Subscription(refusal=CONSUMER_BLOCKED))
            refusal = judge_state(record.state, consumer.key_type)
            tenant = record.tenant or tenant_of(record.application.owner)
            found = Subscription(record.tier, record.publisher, tenant, refusal)
        if not self._demands(consumer, api):
            found = found._replace(refusal="")
        return self._keep(consumer, api, found)

    def _demands(self, consumer: Consumer, api: Api) -> bool:
        """What is said of the API beats what is said of the issuer, and that beats what is said of all."""
        if self._apis:
            title = normal_title(api.name)
            for version in (api.version, "*"):
                if (title, version) in self._apis:
                    return self._apis[title, version]
        return self._required if consumer.must_subscribe is None else consumer.must_subscribe

    def _keep(self, consumer: Consumer, api: Api, found: Subscription) -> Subscription:
        consumer.limits.pop(api.id, None)  # chosen by what was known before
        kept = consumer.subscriptions[api.id] = found._replace(epoch=self.epoch)
        return kept


def load(settings: Settings, plan: Plan | None, channel: Channel | None) -> Subscriptions | None:
    """What a worker knows of subscriptions; None where neither settings nor project speak of any, and no limit asks for tiers."""
    project = plan.subscribers if plan is not None else None
    demanded = settings.security.validate_subscriptions or any(
        (
            *(one.validate_subscription for one in settings.issuers),
            *(one.validate_subscriptions for one in settings.security.apis),
        )
    )
    hub: HubRecords | None = None
    if settings.apim.event_hub.enable and channel is not None:
        from microgate.runtime.security.subscriptions.hub_records import HubRecords

        hub = HubRecords(channel)
    tiers = plan is not None and any(policy.level in _TIER_LEVELS for policy in plan.policies)
    tiers |= settings.throttling.enabled_global_tm_event_publishing  # whose traffic manager is told of them
    wanted = demanded or tiers or project is not None or hub is not None
    return Subscriptions(settings, project, hub) if wanted else None


def prove(settings: Settings, plan: Plan) -> None:
    """Raise SettingsError for an answer of `[[security.api]]` that is for no API: a restriction must not be lost to a slip.

    So it is for a broker of the event hub that cannot be one.
    """
    if settings.apim.event_hub.enable:
        from microgate.runtime.security.subscriptions import hub_events

        hub_events.topic_of(settings)
    served = {(normal_title(api.name), version) for api in plan.apis for version in (api.version, "*")}
    for one in settings.security.apis:
        if (normal_title(one.name), one.version) not in served:
            known = ", ".join(f"`{api.name}` {api.version}" for api in plan.apis)
            raise SettingsError(
                f"[[security.api]] names `{one.name}` {one.version}, which is no API", f"there are {known}"
            )


def judge_state(state: str, key_type: str) -> str:
    """Why a subscription in this state does not let a key of this type call; "" where it does.

    `PROD_ONLY_BLOCKED` leaves the sandbox open, which 3.x forgot.
    """
    if state in _ALLOWED or (state == "PROD_ONLY_BLOCKED" and key_type != PRODUCTION):
        return ""
    if state in ("BLOCKED", "PROD_ONLY_BLOCKED"):
        return BLOCKED
    return INACTIVE if state == "ON_HOLD" else MISSING


def from_token(claims: dict[str, Any], api: Api) -> Record | None:
    """What a token says itself that has the claim `application`; None for any other."""
    from microgate.runtime.security.tokens.claims import application_of

    details = claims.get("application")
    if not isinstance(details, dict):
        return None
    application = application_of(details)
    entries = claims.get("subscribedAPIs")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and _names(entry, api):
            tier, publisher, tenant = (
                _text(entry, name) for name in ("subscriptionTier", "publisher", "subscriberTenantDomain")
            )
            return Record(application, "", tier, publisher, "UNBLOCKED", tenant)
    return Record(application)


def _names(entry: dict[str, Any], api: Api) -> bool:
    return same_title(_text(entry, "name"), api.name) and _text(entry, "version") in (api.version, "*")


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def normal_title(title: str) -> str:
    """A title as it is compared: one form for each character, and no blanks around it."""
    return title.strip() if title.isascii() else unicodedata.normalize("NFC", title).strip()


def same_title(one: str, other: str) -> bool:
    return normal_title(one) == normal_title(other)


def tenant_of(owner: str) -> str:
    """The tenant of a user of the control plane: what follows the last `@`."""
    return owner.rpartition("@")[2] if "@" in owner else SUPER_TENANT


class _Project:
    """The project's own subscriptions."""

    def __init__(self, subscribers: Subscribers) -> None:
        self._names = frozenset(subscribers.blocked_names)
        self._keys = frozenset(subscribers.blocked_keys)
        self._applications = frozenset(subscribers.blocked_applications)
        self._by_key: dict[str, tuple[Application, str, dict[tuple[str, str], tuple[str, str]]]] = {}
        for one in subscribers.applications:
            application = Application(name=one.name, owner=one.owner, tier=one.tier)
            entries = {(normal_title(to.api), to.version): (to.tier, to.state) for to in one.subscriptions}
            for key_type, keys in ((PRODUCTION, one.production_keys), ("SANDBOX", one.sandbox_keys)):
                self._by_key.update(dict.fromkeys(keys, (application, key_type, entries)))

    def blocks(self, consumer: Consumer) -> bool:
        return (
            consumer.name in self._names
            or consumer.consumer_key in self._keys
            or consumer.application in self._applications
        )

    def find(self, consumer_key: str, api: Api) -> Record | None:
        known = self._by_key.get(consumer_key)
        if known is None:
            return None
        application, key_type, entries = known
        title = normal_title(api.name)
        tier, state = entries.get((title, api.version)) or entries.get((title, "*")) or ("", "")
        return Record(application, key_type, tier, "", state)
