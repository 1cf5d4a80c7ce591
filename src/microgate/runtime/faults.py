"""The answers the gateway itself gives: one table from kind to status, WSO2 code, texts, log level and retryability.

Nothing else in the runtime knows a status number for a failure. Rooms raise no exceptions for these: a stage returns a
`Fault`, a protocol hands one to its exchange. Sources: WSO2 §7 for codes and texts, RFC 9110 for statuses, RFC 9457 for
the problem form.
"""

from __future__ import annotations

import json
from functools import lru_cache
from http import HTTPStatus
from time import gmtime, strftime, time
from typing import NamedTuple, Protocol, cast

Headers = list[tuple[bytes, bytes]]


class Kind(NamedTuple):
    """One way to fail. `label` is the metric label and the prefix of log reasons; `wso2` the status 3.x used."""

    label: str
    status: int
    code: int
    message: str
    description: str
    wso2: int
    level: str = "info"
    retryable: bool = False


def _auth(label: str, status: int, code: int, message: str, sentence: str) -> Kind:
    return Kind(label, status, code, message, f"{message}. {sentence}", status)


def _plain(label: str, status: int, description: str) -> Kind:
    return Kind(label, status, status, HTTPStatus(status).phrase, description, status)


def _backend(label: str, status: int, code: int, description: str, *, retryable: bool = False) -> Kind:
    return Kind(label, status, code, "Runtime Error", description, 500, "warning", retryable)


def _throttled(label: str, code: int) -> Kind:
    return Kind(label, 429, code, "Message throttled out", "You have exceeded your quota", 429)


_UNCLASSIFIED = "Unclassified Authentication Failure"
_CONNECT = "Error connecting to the back end"

UNCLASSIFIED_AUTH = _auth("auth.unclassified", 500, 900900, _UNCLASSIFIED, _UNCLASSIFIED)
KEYS_UNAVAILABLE = Kind(
    "auth.keys_unavailable", 503, 900900, _UNCLASSIFIED, "The issuer's keys are not available yet", 500, "warning", True
)
REVOCATIONS_UNAVAILABLE = Kind(
    "auth.revocations_unavailable", 503, 900900, _UNCLASSIFIED, "It is not known what was revoked", 500, "warning", True
)
INVALID_CREDENTIALS = _auth(
    "auth.invalid", 401, 900901, "Invalid Credentials", "Make sure you have given the correct access token"
)
MISSING_CREDENTIALS = _auth(
    "auth.missing", 401, 900902, "Missing Credentials", "Make sure your API request provides required credentials"
)
WRONG_SCHEME = _auth(
    "auth.scheme", 401, 900917, "Invalid Authentication scheme", "API can not be used with this authentication scheme"
)
AUTH_SERVICE_UNAVAILABLE = Kind(
    "auth.service_unavailable",
    503,
    900900,
    _UNCLASSIFIED,
    "A service that decides who may call is not available",
    500,
    "warning",
    True,
)
ACCESS_TOKEN_EXPIRED = _auth(
    "auth.token_expired", 401, 900903, "Access Token Expired", "Renew the access token and try again"
)
ACCESS_TOKEN_INACTIVE = _auth("auth.token_inactive", 401, 900904, "Access Token Inactive", _UNCLASSIFIED)
ACCESS_TOKEN_TYPE = _auth("auth.token_type", 401, 900905, "Incorrect Access Token Type is provided", _UNCLASSIFIED)
NO_MATCHING_RESOURCE = _auth(
    "auth.no_matching_resource",
    403,
    900906,
    "No matching resource found in the API for the given request",
    "Check the API documentation and add a proper REST resource path to the invocation URL",
)
FORWARD_REFUSED = Kind("auth.forward.refused", 403, 403, "Forbidden", "The authorization service refused the call", 403)
BASIC_CREDENTIALS = _auth(
    "auth.basic", 401, 900911, "Invalid Credentials", "Make sure you have given the correct username and password"
)
BASIC_FORMAT = _auth(
    "auth.basic.format",
    401,
    900912,
    "Invalid Format",
    'Make sure you have given the credentials in correct format with ":" character',
)
BASIC_GUESSING = _plain("auth.basic.guessing", 429, "Too many wrong passwords, try again later")
BASIC_BUSY = _plain("auth.basic.busy", 503, "Too many passwords are being verified, try again later")
USER_STORE_DOWN = _plain("auth.basic.store_down", 503, "The users cannot be looked up now")._replace(
    level="warning", retryable=True
)
SCOPES = Kind(
    "auth.scopes",
    403,
    900910,
    "The access token does not allow you to access the requested resource",
    "The access token does not allow you to access the requested resource",
    403,
)
# A key that is bound to other addresses or pages; the blank at the end of the message is 3.x's.
API_KEY_FORBIDDEN = _auth("auth.api_key.forbidden", 403, 900908, "Resource forbidden ", _UNCLASSIFIED)
KEYS_NOT_ISSUED = Kind("service.keys_not_issued", 403, 403, "Forbidden", "API keys are not issued here", 200)
SERVICE_BODY = Kind("service.body", 400, 400, "Bad Request", "The body is not what this service takes", 200)
SERVICE_RATE = Kind("service.rate", 429, 429, "Too Many Requests", "This service was asked too often", 429)
SIGNING_KEY = Kind("service.signing_key", 503, 900900, _UNCLASSIFIED, "The key that signs is missing", 200, "error")
TOKEN_SERVICE = Kind(
    "service.token", 502, 101503, "Runtime Error", "Error connecting to the key manager", 200, "warning"
)
TOKEN_SERVICE_BUSY = TOKEN_SERVICE._replace(label="service.token_busy", status=503, retryable=True)
TOKEN_SERVICE_TIMEOUT = TOKEN_SERVICE._replace(
    label="service.token_timeout", status=504, code=101504, description="Connection timed out"
)
NO_ENDPOINT = Kind("route.no_endpoint", 403, 900901, "No Endpoint", "No endpoint for this kind of key", 403)
ADDRESS = Kind("auth.address", 403, 403, "Forbidden", "Calls from this address are not allowed", 403)
TRANSPORT = Kind("route.transport", 403, 403, "Forbidden", "This API is not offered over this transport", 403)

SUBSCRIPTION_BLOCKED = _auth(
    "auth.subscription.blocked", 401, 900907, "The requested API is temporarily blocked", _UNCLASSIFIED
)
# The blank at the end of the message is 3.x's.
NOT_SUBSCRIBED = _auth("auth.subscription.missing", 403, 900908, "Resource forbidden ", _UNCLASSIFIED)
SUBSCRIPTION_INACTIVE = _auth(
    "auth.subscription.inactive", 401, 900909, "The subscription to the API is inactive", _UNCLASSIFIED
)
SUBSCRIPTIONS_UNAVAILABLE = Kind(
    "auth.subscription.unavailable",
    503,
    900900,
    _UNCLASSIFIED,
    "The subscriptions are not available yet",
    500,
    "warning",
    True,
)
BACKEND_TOKEN = Kind(
    "auth.backend_token", 503, 900900, _UNCLASSIFIED, "The token for the backend cannot be made", 500, "warning", True
)

# The texts of limits and blocks are 3.x's, slips included (WSO2 §7.3).
THROTTLED_API = _throttled("throttle.api", 900800)
THROTTLED_RESOURCE = _throttled("throttle.resource", 900802)
THROTTLED_APPLICATION = _throttled("throttle.application", 900803)
THROTTLED_SUBSCRIPTION = _throttled("throttle.subscription", 900804)
THROTTLED_CUSTOM = _throttled("throttle.custom", 900806)
BLOCKED = Kind(
    "throttle.blocked", 403, 900805, "Message blocked", "You have been blocked from accesing the resource", 403
)
POLICY_MISSING = Kind(
    "throttle.policy_missing",
    500,
    900809,
    "Internal server error occured",
    "POLICY ENFORCEMENT ERROR",
    500,
    "error",
)
LIMITS_UNAVAILABLE = _plain("throttle.store_away", 503, "It cannot be counted now, try again later")._replace(
    level="warning", retryable=True
)

BAD_REQUEST = _plain("http.bad_request", 400, "The request is malformed")
AMBIGUOUS_PATH = _plain("route.ambiguous_path", 400, "The path has an encoding that could mean another resource")
NOT_FOUND = _plain("route.not_found", 404, "No API or resource matches the request")
METHOD_NOT_ALLOWED = _plain("route.method", 405, "Method not allowed for the given resource")
REQUEST_TIMEOUT = _plain("http.timeout", 408, "The request did not arrive in time")
BODY_TOO_LARGE = _plain("http.body_size", 413, "The request body is larger than allowed")
URI_TOO_LONG = _plain("http.uri_length", 414, "The request target is longer than allowed")
EXPECTATION_FAILED = _plain("http.expectation", 417, "The expectation is not supported")
HEADERS_TOO_LARGE = _plain("http.header_size", 431, "The request header fields are larger than allowed")
VERSION = _plain("http.version", 505, "The HTTP version is not supported")
# The client left before its answer was complete; the number is nginx's, it is logged and never sent.
CLIENT_ABORT = Kind("client.abort", 499, 499, "Client Closed Request", "The client closed the connection", 499)
# The gateway was told to end before the answer was complete; logged and never sent.
GATEWAY_STOPPED = _plain("gateway.stopped", 503, "The gateway stopped")
INTERNAL = _plain("internal", 500, "An unexpected error happened in the gateway")._replace(level="error")
OVERLOAD = _plain("overload", 503, "The gateway is at its limit, try again later")._replace(retryable=True)
HTTPS_REQUIRED = Kind("route.https_required", 308, 308, "Permanent Redirect", "Use HTTPS", 308)

BACKEND_CONNECT = _backend("backend.connect", 502, 101503, _CONNECT, retryable=True)
BACKEND_CLOSED = _backend("backend.closed", 502, 101503, _CONNECT)
BACKEND_BAD_ANSWER = _backend("backend.bad_answer", 502, 101503, _CONNECT)
BACKEND_BUSY = _backend("backend.busy", 503, 101503, _CONNECT, retryable=True)
BACKEND_TIMEOUT = _backend("backend.timeout", 504, 101504, "Connection timed out")

KINDS: tuple[Kind, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Kind))


class Fault:
    """A fault on its way to the client: its kind, and what this occasion adds.

    `reason` is a stable dotted word for logs such as `auth.jwt.expired`; `headers` are added to the answer.
    """

    __slots__ = ("description", "headers", "kind", "reason")

    def __init__(
        self, kind: Kind, reason: str = "", *, description: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.kind = kind
        self.reason = reason or kind.label
        self.description = description or kind.description
        self.headers = headers


class Answer:
    """A complete answer of the gateway's own, ready to be sent."""

    __slots__ = ("body", "headers", "reason", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"", reason: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.reason = reason


class Form(Protocol):
    """How faults are told in another protocol, such as SOAP."""

    @property
    def content_type(self) -> bytes: ...
    def body(self, status: int, code: int, message: str, description: str) -> bytes: ...


def render(fault: Fault, accept: bytes, *, wso2: bool = False, form: Form | None = None) -> Answer:
    """The answer of a fault: a problem when `accept` names that type, else the caller's `form`, else WSO2's JSON body.

    `wso2` brings back the statuses and texts of 3.x, which had JSON for all.
    """
    kind = fault.kind
    headers: Headers = []
    status = kind.wso2 if wso2 else kind.status
    if wso2 and kind in (NOT_FOUND, METHOD_NOT_ALLOWED):
        text = "no matching resource found" if kind is NOT_FOUND else "Method not allowed"
        headers.append((b"Content-Type", b"text/plain"))
        body = text.encode()
    elif b"application/problem+json" in accept.lower():
        headers.append((b"Content-Type", b"application/problem+json"))
        body = _problem(status, kind.code, kind.message, fault.description)
    elif form is not None and not wso2:
        headers.append((b"Content-Type", form.content_type))
        body = form.body(status, kind.code, kind.message, fault.description)
    else:
        headers.append((b"Content-Type", b"application/json"))
        body = _body(kind.code, kind.message, fault.description)
    headers.extend(fault.headers)
    if status == 503 and not any(name == b"Retry-After" for name, _ in headers):
        headers.append((b"Retry-After", b"1"))
    return Answer(status, headers, body)


def date_line() -> bytes:
    """The Date field of an answer of our own (RFC 9110 §6.6.1), made once a second."""
    now = int(time())
    if _date[0] != now:
        _date[:] = [now, strftime("Date: %a, %d %b %Y %H:%M:%S GMT", gmtime(now)).encode()]
    return cast("bytes", _date[1])


_date: list[object] = [0, b""]


# A gateway that refuses much says the same again and again; descriptions that quote a request come and go.
@lru_cache(maxsize=256)
def _body(code: int, message: str, description: str) -> bytes:
    return _json({"fault": {"code": code, "message": message, "description": description}})


@lru_cache(maxsize=256)
def _problem(status: int, code: int, message: str, description: str) -> bytes:
    return _json({"type": "about:blank", "title": message, "status": status, "detail": description, "code": code})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
