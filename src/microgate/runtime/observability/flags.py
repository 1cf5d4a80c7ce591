"""What a fault means to people who read logs: Envoy's response flag, and who decided the answer.

One table over the kinds of faults, so that dashboards made for Envoy read our lines. Used by the access log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange

# Envoy has no flag for what it would call a local answer; there it prints a dash, and so do we.
NO_FLAG = "-"

FLAGS: dict[str, str] = {
    faults.UNCLASSIFIED_AUTH.label: "UAEX",  # refused by the authorization service
    faults.KEYS_UNAVAILABLE.label: "UAEX",
    faults.REVOCATIONS_UNAVAILABLE.label: "UAEX",
    faults.INVALID_CREDENTIALS.label: "UAEX",
    faults.MISSING_CREDENTIALS.label: "UAEX",
    faults.WRONG_SCHEME.label: "UAEX",
    faults.SCOPES.label: "UAEX",
    faults.AUTH_SERVICE_UNAVAILABLE.label: "UAEX",
    faults.ACCESS_TOKEN_EXPIRED.label: "UAEX",
    faults.ACCESS_TOKEN_INACTIVE.label: "UAEX",
    faults.ACCESS_TOKEN_TYPE.label: "UAEX",
    faults.NO_MATCHING_RESOURCE.label: "UAEX",
    faults.FORWARD_REFUSED.label: "UAEX",
    faults.SUBSCRIPTION_BLOCKED.label: "UAEX",
    faults.NOT_SUBSCRIBED.label: "UAEX",
    faults.SUBSCRIPTION_INACTIVE.label: "UAEX",
    faults.SUBSCRIPTIONS_UNAVAILABLE.label: "UAEX",
    faults.BACKEND_TOKEN.label: "UAEX",
    faults.API_KEY_FORBIDDEN.label: "UAEX",
    faults.BASIC_CREDENTIALS.label: "UAEX",
    faults.BASIC_FORMAT.label: "UAEX",
    faults.BASIC_GUESSING.label: "UAEX",
    faults.BASIC_BUSY.label: "UAEX",
    faults.USER_STORE_DOWN.label: "UAEX",
    faults.KEYS_NOT_ISSUED.label: NO_FLAG,
    faults.SERVICE_BODY.label: NO_FLAG,
    faults.SERVICE_RATE.label: "RL",  # rate limited
    faults.SIGNING_KEY.label: NO_FLAG,
    faults.TOKEN_SERVICE.label: "UF",
    faults.TOKEN_SERVICE_BUSY.label: "UO",
    faults.TOKEN_SERVICE_TIMEOUT.label: "UT",
    faults.THROTTLED_API.label: "RL",
    faults.THROTTLED_RESOURCE.label: "RL",
    faults.THROTTLED_SUBSCRIPTION.label: "RL",
    faults.THROTTLED_APPLICATION.label: "RL",
    faults.THROTTLED_CUSTOM.label: "RL",
    faults.BLOCKED.label: "UAEX",
    faults.POLICY_MISSING.label: NO_FLAG,
    faults.LIMITS_UNAVAILABLE.label: "RL",
    faults.NO_ENDPOINT.label: "NC",  # no cluster
    faults.ADDRESS.label: "UAEX",
    faults.TRANSPORT.label: NO_FLAG,
    faults.HTTPS_REQUIRED.label: NO_FLAG,
    faults.NOT_FOUND.label: "NR",  # no route
    faults.METHOD_NOT_ALLOWED.label: "NR",
    faults.AMBIGUOUS_PATH.label: "DPE",  # downstream protocol error
    faults.BAD_REQUEST.label: "DPE",
    faults.BODY_TOO_LARGE.label: "DPE",
    faults.URI_TOO_LONG.label: "DPE",
    faults.HEADERS_TOO_LARGE.label: "DPE",
    faults.EXPECTATION_FAILED.label: "DPE",
    faults.VERSION.label: "DPE",
    faults.REQUEST_TIMEOUT.label: "SI",  # stream idle
    faults.CLIENT_ABORT.label: "DC",  # downstream closed
    faults.OVERLOAD.label: "OM",  # overload manager
    faults.GATEWAY_STOPPED.label: NO_FLAG,
    faults.INTERNAL.label: NO_FLAG,
    faults.BACKEND_CONNECT.label: "UF",  # upstream connection failed
    faults.BACKEND_CLOSED.label: "UC",  # upstream closed
    faults.BACKEND_BAD_ANSWER.label: "UPE",  # upstream protocol error
    faults.BACKEND_BUSY.label: "UO",  # upstream overflow
    faults.BACKEND_TIMEOUT.label: "UT",  # upstream timeout
}


def decided_by(exchange: Exchange) -> str:
    """Who chose the status that the client got: `gateway`, `backend`, or `client` if it left before the end."""
    fault = exchange.fault
    if fault is None:
        return "backend" if exchange.answer_head_at else "gateway"
    if fault.kind is faults.CLIENT_ABORT:
        return "client"
    broken_off = exchange.answer_head_at and fault.kind.label.startswith(("backend.", "gateway."))
    return "backend" if broken_off else "gateway"
