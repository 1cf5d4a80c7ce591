"""Where a request carries an API key: header fields and query parameters, as descriptions name them (WSO2 §3.8, §6.5).

It finds keys and takes them out; what a key is worth is `api_keys/scheme.py`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes

from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import KeyPlace, Operation
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.security.context import SecurityContext

Finder: TypeAlias = "Callable[[Exchange], bytes]"


def finder(places: tuple[KeyPlace, ...]) -> Finder:
    """The function that finds the key of a request, b"" where it brings none; it raises TokenError for more than one."""
    fields = in_fields(places)
    parameters = frozenset(place.name.encode() for place in places if place.location == "query")

    def find(exchange: Exchange) -> bytes:
        found = fields(exchange.lines)
        if parameters:
            found += query_values(exchange.target, parameters)
        if len(found) > 1:
            raise TokenError(refusals.REPEATED)
        return found[0] if found else b""

    return find


def in_fields(places: tuple[KeyPlace, ...]) -> Callable[[Lines], list[bytes]]:
    """The function that finds the keys in the fields alone."""
    headers = tuple(place.name.lower().encode() for place in places if place.location == "header")

    def find(lines: Lines) -> list[bytes]:
        found = []
        for name in headers:
            end = len(name)
            for line in lines:
                # The colon first: it is nearly never at this place in another field.
                if line[end : end + 1] == b":" and line[:end].lower() == name:
                    value = line[end + 1 :].strip(b" \t")
                    if value:
                        found.append(value)
        return found

    return find


def link(context: SecurityContext, operation: Operation) -> Stage | None:
    """The stage that takes keys out, whoever else vouched for the caller; None for an operation without keys."""
    security = operation.security
    members = [member for alternative in security.alternatives for member in alternative]
    places = (*security.key_places, *(place for member in members for place in member.key_places))
    if security.opened_by or not places or not context.settings.api_key.remove_from_out_message:
        return None
    return remover(places)


@cache
def remover(places: tuple[KeyPlace, ...]) -> Stage:
    """The stage that takes the keys out of a request on its way to a backend; the rest stays byte by byte.

    The same one for the same places: it is a key of what is kept with heads.
    """
    headers = frozenset({place.name.lower().encode() for place in places if place.location == "header"})
    parameters = frozenset(place.name.encode() for place in places if place.location == "query")

    def remove(exchange: Exchange) -> None:
        if headers:
            exchange.passing = without(exchange.passing, exchange.derived)
        if parameters and b"?" in exchange.target:
            exchange.target = _without(exchange.target, parameters)

    def without(passing: Lines, derived: dict[object, Any] | None) -> Lines:
        """What was made of the very same list is as good; a stage before may have put another in the place of the head's."""
        known: tuple[Lines, Lines] | None = None if derived is None else derived.get(remove)
        if known is not None and known[0] is passing:
            return known[1]
        kept = [line for line in passing if line[: line.find(b":")].lower() not in headers]
        if derived is not None:
            derived[remove] = (passing, kept)
        return kept

    return remove


def _without(target: bytes, names: frozenset[bytes]) -> bytes:
    path, _, query = target.partition(b"?")
    pairs = query.split(b"&")
    kept = [pair for pair in pairs if _decoded(pair.partition(b"=")[0]) not in names]
    if len(kept) == len(pairs):
        return target
    return path + b"?" + b"&".join(kept) if kept else path


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
