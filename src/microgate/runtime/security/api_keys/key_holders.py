"""Who holds an API key and what the key is bound to: APIs, addresses, referring pages.

Both kinds of keys lead here, the signed ones by their claims and the opaque ones by their record in the store. `scheme.py`
asks `check` for each request.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from microgate.runtime import faults
from microgate.runtime.address_ranges import Ranges, number_of
from microgate.runtime.exchange import Consumer
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.plan.model import Api
    from microgate.runtime.exchange import Exchange

API = Reason("auth.api_key.api")
ADDRESS = Reason("auth.api_key.address", kind=faults.API_KEY_FORBIDDEN)
REFERER = Reason("auth.api_key.referer", kind=faults.API_KEY_FORBIDDEN)


class KeyHolder(Consumer):
    """A consumer that a key names. `apis` are pairs of name and version, `*` for all versions; None where the key is silent."""

    __slots__ = ("apis", "bound", "networks", "referers", "scoped")

    def __init__(self, name: str, *, key_type: str = "PRODUCTION", scopes: frozenset[str] = frozenset()) -> None:
        super().__init__(name, "api_key", key_type=key_type, scopes=scopes)
        self.apis: frozenset[tuple[str, str]] | None = None
        self.networks: Ranges | None = None  # None for anywhere
        self.referers: tuple[str, ...] | None = None  # None for any page or none
        self.bound = False  # to addresses or pages, which each request is held against
        self.scoped = False  # its scopes are all it may use; a signed key may use any (WSO2 §6.7)

    def bind(self, addresses: Iterable[str] | None, referers: Iterable[str] | None) -> None:
        """None binds to nothing, and an empty list to nowhere: such a key is good for nobody.

        Raises TokenError for an address that is none: a key whose bounds cannot be read is good for nothing.
        """
        if addresses is not None:
            try:
                self.networks = Ranges(str(ipaddress.ip_network(text, strict=False)) for text in addresses)
            except ValueError:
                raise TokenError(refusals.CLAIMS) from None
        if referers is not None:
            self.referers = tuple(text.lower() for text in referers)
        self.bound = addresses is not None or referers is not None

    def check(self, exchange: Exchange) -> None:
        """Raise TokenError where the request comes from elsewhere than the key is for."""
        if self.networks is not None and number_of(exchange.client) not in self.networks:
            raise TokenError(ADDRESS)
        if self.referers is not None:
            given = b",".join(exchange.values(b"referer")).decode("latin-1").lower()
            # The pages of a key are written with and without their scheme.
            forms = (given, given.partition("://")[2])
            if not given or not any(_matches(pattern, form) for pattern in self.referers for form in forms):
                raise TokenError(REFERER)

    def may_call(self, api: Api) -> bool:
        """Whether the key names the API."""
        apis = self.apis or ()
        return (api.name, api.version) in apis or (api.name, "*") in apis


def is_unscoped(consumer: Consumer | None) -> bool:
    """Whether scopes do not matter: nobody checks them for signed keys (WSO2 §6.7)."""
    return isinstance(consumer, KeyHolder) and not consumer.scoped


def pairs_of(value: Any) -> frozenset[tuple[str, str]] | None:
    """The APIs of a claim (WSO2 §6.5): a list of objects with name and version; None for no claim. Raises TokenError."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise TokenError(refusals.CLAIMS)
    found = set()
    for entry in value:
        name, version = (entry.get("name"), entry.get("version")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(version, str):
            raise TokenError(refusals.CLAIMS)
        found.add((name, version))
    return frozenset(found)


def texts_of(value: Any) -> list[str] | None:
    """The members of a claim that is a list, or a string with commas, as APIM writes it. Raises TokenError.

    None where the claim is missing, or the empty string: APIM writes that into each key that nobody bound.
    """
    if value is None or value == "":
        return None
    members = value.split(",") if isinstance(value, str) else value
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise TokenError(refusals.CLAIMS)
    return [member.strip() for member in members if member.strip()]


def _matches(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, in which `*` stands for anything; in time that grows with their lengths alone."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    if not text.startswith(first):
        return False
    at = len(first)
    *middle, last = others
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return text.endswith(last) and len(text) - len(last) >= at
