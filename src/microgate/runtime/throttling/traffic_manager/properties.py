"""What an event says of a request beside who called what: its address, and as switches have it headers, query, claims.

Credentials are never among it. Names of headers and parameters are the client's to choose, so what the gateway knows
itself stands over them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Operation
    from microgate.runtime.exchange import Exchange
    from microgate.settings.model import Settings

MAX_REMEMBERED = 4_096  # addresses
MAX_PAIRS = 256  # of a query
MAX_VALUE_BYTES = 2_048  # of one header, parameter or claim; a longer one is left out
MAX_BYTES = 16_384  # of all together; what comes behind is left out

_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "dpop"})


def link(settings: Settings, operation: Operation) -> Callable[[Exchange], bytes]:
    """The function that makes the properties of a request at this operation: JSON, as a JSON string."""
    throttling = settings.throttling
    parts: list[Callable[[Exchange], dict[str, str]]] = []
    places = set(operation.security.key_places)
    for alternative in operation.security.alternatives:
        places |= {place for member in alternative for place in member.key_places}
    if throttling.enable_header_conditions:
        keys = {place.name.lower() for place in places if place.location == "header"}
        own = {settings.auth.authorization_header.lower(), settings.backend_jwt_header.header.lower()}
        parts.append(_headers(_CREDENTIALS | own | keys))
    if throttling.enable_query_param_conditions:
        parts.append(_query(frozenset(place.name for place in places if place.location == "query")))
    if throttling.enable_jwt_claim_conditions:
        parts.append(_claims)
    remembered: dict[str, bytes] = {}

    def address(exchange: Exchange) -> bytes:
        client = exchange.client
        found = remembered.get(client)
        if found is None:
            if len(remembered) >= MAX_REMEMBERED:
                remembered.clear()
            found = remembered[client] = _encode(_address(client))
        return found

    def gather(exchange: Exchange) -> bytes:
        found: dict[str, Any] = {}
        left = MAX_BYTES
        for part in reversed(parts):  # claims first: they are not the client's to crowd out
            for name, value in part(exchange).items():
                size = len(name) + len(value)
                if len(value) <= MAX_VALUE_BYTES and size <= left and name not in found:
                    found[name] = value
                    left -= size
        return _encode(found | _address(exchange.client))

    return gather if parts else address


def _encode(properties: dict[str, Any]) -> bytes:
    return msgspec.json.encode(msgspec.json.encode(properties).decode())


def _address(client: str) -> dict[str, Any]:
    """IPv4 as a number, IPv6 as a text of one, since no JSON number is so long; 0 for the other."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return {"ip": 0, "ipv6": 0}
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else address
    return {"ip": int(mapped), "ipv6": 0} if mapped is not None else {"ip": 0, "ipv6": str(int(address))}


def _headers(hidden: frozenset[str]) -> Callable[[Exchange], dict[str, str]]:
    def headers(exchange: Exchange) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in exchange.lines:
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() not in hidden:
                found[name] = value.strip(" \t")
        return found

    return headers


def _query(hidden: frozenset[str]) -> Callable[[Exchange], dict[str, str]]:
    def query(exchange: Exchange) -> dict[str, str]:
        found: dict[str, str] = {}
        _, _, text = exchange.target.partition(b"?")
        for pair in text.split(b"&", MAX_PAIRS)[:MAX_PAIRS]:
            name, _, value = (_decoded(one) for one in pair.partition(b"="))
            if name and name not in hidden:
                found[name] = value
        return found

    return query


def _claims(exchange: Exchange) -> dict[str, str]:
    consumer = exchange.consumer
    claims: dict[str, Any] = consumer.claims if consumer is not None else {}
    found: dict[str, str] = {}
    for name, value in claims.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            found[name] = str(value)
    return found


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "replace")
