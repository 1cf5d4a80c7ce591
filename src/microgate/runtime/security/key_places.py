"""Where a request carries an API key: header fields and query parameters, as descriptions name them (WSO2 §3.8, §6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import unquote_to_bytes

from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import KeyPlace
    from microgate.runtime.exchange import Exchange

Finder: TypeAlias = "Callable[[Exchange], bytes]"


def finder(places: tuple[KeyPlace, ...]) -> Finder:
    """The function that finds the key of a request, b"" where it brings none; it raises TokenError for more than one."""
    headers = tuple(place.name.lower().encode() for place in places if place.location == "header")
    parameters = frozenset(place.name.encode() for place in places if place.location == "query")

    def find(exchange: Exchange) -> bytes:
        found = [value for name in headers for value in exchange.values(name) if value]
        if parameters:
            found += query_values(exchange.target, parameters)
        if len(found) > 1:
            raise TokenError(refusals.REPEATED)
        return found[0] if found else b""

    return find


def query_values(target: bytes, names: frozenset[bytes]) -> list[bytes]:
    """The decoded values of these parameters, in order; names may be percent-encoded in the target too."""
    _, _, query = target.partition(b"?")
    found = []
    for pair in query.split(b"&") if query else ():
        name, _, value = pair.partition(b"=")
        if _decoded(name) in names and value:
            found.append(_decoded(value))
    return found


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
