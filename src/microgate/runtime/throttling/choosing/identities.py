"""Who calls what, as limits and blocks name it: users, applications and tenants. levels.py says who is counted where."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.plan.model import Api
    from microgate.runtime.exchange import Consumer, Exchange

SUPER_TENANT = "carbon.super"
_TENANT_PATH = "/t/"  # the base path of a tenant's API begins so, `/t/example.com/pets`


def user_of(exchange: Exchange) -> str | None:
    """The user, or the subject of the token; None where nobody says who calls."""
    consumer = exchange.consumer
    return consumer.name or None if consumer is not None else None


def application_id_of(exchange: Exchange) -> str | None:
    """What names the calling application best; None where none is known."""
    consumer = exchange.consumer
    if consumer is None:
        return None
    return consumer.application_key or None


def application_tenant_of(exchange: Exchange) -> str | None:
    """The tenant of the application's owner; None where no application is known."""
    consumer = exchange.consumer
    if consumer is None or consumer.application_details is None:
        return None
    return tenant_of(consumer.application_details.owner)


def api_tenant_of(api: Api) -> str:
    """The tenant that an API belongs to: the one in its base path, else its owner's."""
    if api.base_path.startswith(_TENANT_PATH):
        return api.base_path[len(_TENANT_PATH) :].partition("/")[0]
    return tenant_of(api.owner)


def tenant_of(user: str) -> str:
    """What follows the last `@`; the first tenant where nothing does."""
    return user.rpartition("@")[2] if "@" in user else SUPER_TENANT


def without_tenant(user: str) -> str:
    """A user of the first tenant, whose name 3.x writes with and without it."""
    return user.removesuffix("@" + SUPER_TENANT)


def owned_application_of(consumer: Consumer) -> str:
    """`<owner>:<application>`; "" where it is not known whose the application is."""
    details = consumer.application_details
    if details is None or not details.name:
        return ""
    return f"{without_tenant(details.owner)}:{details.name}"
