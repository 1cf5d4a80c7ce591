"""How a request is named to the traffic manager: the keys of WSO2 §4 and §11.3, and the event that tells of it.

What depends on the caller and the operation alone is made once; of a request only its id and its properties are new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.throttling.choosing import identities
from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.levels import DEFAULT, UNAUTHENTICATED, UNLIMITED
from microgate.runtime.throttling.traffic_manager.memory import place_of

if TYPE_CHECKING:
    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Application, Consumer, Subscription

ANONYMOUS = "anonymous"
UNKNOWN = "__unknown__"


class Names:
    """What an operation is called."""

    def __init__(self, api: Api, operation: Operation) -> None:
        base_path = "" if api.base_path == "/" else api.base_path
        self.api_key = f"{api.base_path}:{api.version}"
        self.resource_key = f"{base_path}/{api.version}{operation.path}:{operation.method}"
        self.tenant = identities.api_tenant_of(api)
        tier = api.tier or UNLIMITED
        # A tier of the API counts all operations together (WSO2 §11.2).
        counted = (self.api_key, tier) if api.tier else (self.resource_key, operation.tier or UNLIMITED)
        self.fixed = {
            "apiKey": self.api_key,
            "apiTier": tier,
            "resourceKey": counted[0],
            "resourceTier": counted[1],
            "apiContext": api.base_path,
            "apiVersion": api.version,
            "apiTenant": self.tenant,
            "apiName": api.name,
        }


class Caller:
    """One caller at one operation: its keys, and its events but for what differs from request to request."""

    __slots__ = ("application", "application_key", "event", "subscription", "subscription_key")

    def __init__(self, names: Names, who: dict[str, str]) -> None:
        self.application_key = place_of(digest(who["appKey"]))
        self.subscription_key = place_of(digest(who["subscriptionKey"]))
        self.event = msgspec.json.encode(names.fixed | who)[1:-1]
        self.subscription: Subscription | None = None
        self.application: Application | None = None


def of_consumer(names: Names, consumer: Consumer, api: Api, *, shared: bool) -> Caller:
    """`shared`: all who have no application go by one name, as in 3.x."""
    details, subscription = consumer.application_details, consumer.subscriptions.get(api.id)
    application = consumer.application_key
    if not application:
        # No application has such an id, whatever callers are named.
        who = "" if shared else consumer.name or consumer.token.hex()
        application = f"{UNKNOWN}:{who}" if who else UNKNOWN
    tenant = subscription.tenant if subscription is not None else ""
    owner = details.owner if details is not None else ""
    found = Caller(
        names,
        {
            "appKey": f"{application}:{consumer.name}",
            "appTier": (details.tier if details is not None else "") or UNLIMITED,
            "subscriptionKey": f"{application}:{names.api_key}",
            "subscriptionTier": (subscription.tier if subscription is not None else "") or DEFAULT,
            "userId": consumer.name,
            "appTenant": tenant or identities.tenant_of(owner),
            "appId": application,
        },
    )
    found.subscription, found.application = subscription, details
    return found


def of_nobody(names: Names, client: str) -> Caller:
    """A caller who need not say who it is goes by its address (WSO2 §11.1)."""
    return Caller(
        names,
        {
            "appKey": f"{client}:{ANONYMOUS}",
            "appTier": UNLIMITED,
            "subscriptionKey": f"{client}:{names.api_key}",
            "subscriptionTier": UNAUTHENTICATED,
            "userId": ANONYMOUS,
            "appTenant": identities.SUPER_TENANT,
            "appId": client,
        },
    )


def event(request_id: str, caller: Caller, properties: bytes) -> bytes:
    """The body that tells of a request; a request id has nothing that JSON writes in another way."""
    return b'{"event":{"payloadData":{"messageID":"%b",%b,"properties":%b}}}' % (
        request_id.encode(),
        caller.event,
        properties,
    )
