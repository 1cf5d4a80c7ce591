"""Who is counted where: for each level the policy that applies to a request, and the key that names whose count it is (WSO2 §4).

Callers of whom no subscription is known are counted by who they are. 3.x had one count for all of them, which a setting of
`[compatibility]` brings back.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from microgate.plan.model import Api
    from microgate.runtime.exchange import Consumer

UNLIMITED = "Unlimited"
DEFAULT = "Default"  # of callers whose subscription nobody knows
UNAUTHENTICATED = "Unauthenticated"  # of callers who need not say who they are

_UNKNOWN = "__unknown__"  # the application of all callers of whom none is known, as 3.x calls it


class Named(NamedTuple):
    """A tier of the policies of a level, and whose count it is."""

    tier: str
    key: tuple[str, ...]


def of_subscription(consumer: Consumer, api: Api, *, shared: bool) -> Named:
    """`shared`: all who have no application count together, as in 3.x."""
    subscription = consumer.subscriptions.get(api.id)
    tier = subscription.tier if subscription is not None else ""
    return Named(tier or DEFAULT, (api.id, *_holder(consumer, shared=shared)))


def of_application(consumer: Consumer) -> Named | None:
    """None where the caller's application has no tier."""
    details = consumer.application_details
    if details is None or not details.tier:
        return None
    return Named(details.tier, (*_holder(consumer, shared=False), consumer.name))


def of_nobody(client: str, api: Api) -> Named:
    return Named(UNAUTHENTICATED, (api.id, address_of(client)))


def _holder(consumer: Consumer, *, shared: bool) -> tuple[str, ...]:
    """The application that calls; without one the caller itself."""
    details = consumer.application_details
    application = (details.id or details.uuid or details.name) if details is not None else ""
    if application:
        return ("application", application)
    if consumer.consumer_key and not consumer.audience_only:
        # Of whom nobody has a record: another issuer may call another one so.
        return ("client", consumer.issuer, consumer.consumer_key)
    if shared:
        return ("application", _UNKNOWN)
    if consumer.name:
        return ("caller", consumer.credential, consumer.issuer, consumer.name)
    return ("credential", consumer.token.hex())


def address_of(client: str) -> str:
    """What counts as one address: of IPv6 the /64, which is what one customer has."""
    if ":" not in client:
        return client
    try:
        address = ipaddress.IPv6Address(client.partition("%")[0])
    except ValueError:
        return client
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
