"""The values that conditions and key templates look at, as bytes: of header fields, of the query, of the caller's claims.

Everything here comes from clients, so nothing of it raises, and what is read of it is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange

MAX_VALUES = 256  # of one name; more are not looked at
_MAX_DIGITS = 4_000  # of a number; Python writes no longer ones


def of_header(exchange: Exchange, name: bytes) -> list[bytes]:
    """The values of all fields with this lower-case name, in order, without the blanks around them."""
    end = len(name)
    # The colon first: it is nearly never at this place in another field.
    return [
        line[end + 1 :].strip(b" \t")
        for line in exchange.lines
        if line[end : end + 1] == b":" and line[:end].lower() == name
    ]


def of_query(exchange: Exchange, name: bytes) -> list[bytes]:
    """The decoded values of a parameter, in order; one without `=` is empty."""
    _, mark, query = exchange.target.partition(b"?")
    found: list[bytes] = []
    if not mark:
        return found
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key and _decoded(key) == name:
            found.append(_decoded(value))
            if len(found) >= MAX_VALUES:
                break
    return found


def of_claim(exchange: Exchange, name: str) -> list[bytes]:
    """The values of a claim as text: of a list each member, of a boolean `true` or `false`.

    A claim of an object is named with a dot, `realm_access.roles`, unless there is one that has the dot in its own name.
    """
    consumer = exchange.consumer
    if consumer is None:
        return []
    claims = consumer.claims
    value = claims.get(name)
    if value is None and "." in name:
        value = _within(claims, name)
    members = value[:MAX_VALUES] if isinstance(value, list) else (value,)
    return [text for member in members if (text := _text(member)) is not None]


def _within(claims: dict[str, Any], name: str) -> object:
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _text(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        return b"%d" % value if value.bit_length() < 3 * _MAX_DIGITS else None
    if isinstance(value, float):
        return repr(value).encode()
    return None


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" ")) if b"%" in text or b"+" in text else text
