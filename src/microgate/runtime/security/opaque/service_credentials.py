"""How the gateway authenticates at the key manager (WSO2 §5.3): Basic, a fixed token, or a token that it asks for and renews.

`of` chooses by the settings. What it gives are header fields; `introspection.py` and `key_validation.py` send them.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from microgate.runtime.security.calls import ServiceError, Shared
from microgate.runtime.security.fetch import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.security.calls import Service
    from microgate.settings.key_manager import KeyManagerSecurity, OAuthCredentials

Fields = tuple[tuple[str, str], ...]

DEFAULT_LIFE_SECONDS = 300.0  # of a token whose answer names none
MARGIN_SECONDS = 30.0  # before its end a token is renewed, at most a tenth of its life
FRESH_SECONDS = 5.0  # a token that is not older and is not taken would not be taken anew either

log = logging.getLogger("microgate.security")

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class Credentials(Protocol):
    """Header fields for a service."""

    async def fields(self) -> Fields:
        """Raises ServiceError where they cannot be had."""

    def refused(self, fields: Fields) -> bool:
        """Told that the service did not take these; whether asking again may help."""


class Fixed:
    """What never changes; none at all where nothing is configured."""

    def __init__(self, fields: Fields = ()) -> None:
        self._fields = fields

    async def fields(self) -> Fields:
        return self._fields

    def refused(self, fields: Fields) -> bool:
        return False


class Grant(NamedTuple):
    """A request for a token: where, and what is said there."""

    service: Service
    members: dict[str, str]
    fields: Fields


class Granted:
    """A token that is had by `first`, and renewed by `renewal` as long as that works; either may be missing."""

    def __init__(self, first: Grant | None, renewal: Grant | None, token: str = "") -> None:
        self._first = first
        self._renewal = renewal
        self._renews = renewal is not None and bool(renewal.members.get("refresh_token"))
        self._token = token
        self._until = float("inf")
        self._given_at = float("-inf")
        self._asked: Shared[None] = Shared()

    async def fields(self) -> Fields:
        if not self._token or monotonic() >= self._until:
            await self._asked.get("", self._renew)
        return (("Authorization", f"Bearer {self._token}"),)

    def refused(self, fields: Fields) -> bool:
        if fields != (("Authorization", f"Bearer {self._token}"),):
            return True  # there is another one already
        if (self._first is None and not self._renews) or monotonic() < self._given_at + FRESH_SECONDS:
            return False
        self._until = 0.0
        return True

    async def _renew(self) -> None:
        if self._renews and self._renewal is not None:
            try:
                await self._ask(self._renewal)
            except ServiceError as error:
                if self._first is None:
                    raise
                log.warning("the token for the key manager cannot be renewed, a new one is asked for: it %s", error)
                self._renews = False
            else:
                return
        if self._first is None:
            raise ServiceError("does not take the token of the settings")
        await self._ask(self._first)

    async def _ask(self, grant: Grant) -> None:
        form = ("Content-Type", "application/x-www-form-urlencoded")
        accept = ("Accept", "application/json")
        body = urlencode(grant.members).encode()
        reply = await grant.service.call(Question("POST", (form, accept, *grant.fields), body))
        if reply.status != 200:
            raise ServiceError(f"gives the gateway no token: its token endpoint answers {reply.status}")
        try:
            answer = json.loads(reply.body)
        except (ValueError, RecursionError):
            answer = None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise ServiceError("gives the gateway no token: the answer of its token endpoint has none")
        self._token = token
        self._given_at = monotonic()
        self._until = self._given_at + _life(answer.get("expires_in"))
        following = answer.get("refresh_token")
        if isinstance(following, str) and following and self._renewal is not None:
            self._renewal.members["refresh_token"] = following
            self._renews = True


def _life(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1 << 53:
        return DEFAULT_LIFE_SECONDS
    return seconds - min(MARGIN_SECONDS, seconds / 10)


def basic(user: str, password: str) -> Fields:
    """RFC 7617 in UTF-8."""
    return (("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


def of(security: KeyManagerSecurity, service: Callable[[str, str], Service]) -> Credentials:
    """Basic where it is enabled, as under 3.x; else OAuth; else none. `service` makes one of a name and an address."""
    if security.basic.enabled:
        return Fixed(basic(security.basic.username, security.basic.password))
    if not security.oauth2.enabled:
        return Fixed()
    return _oauth(security.oauth2, partial(service, "token endpoint of the key manager"))


def _oauth(settings: OAuthCredentials, service: Callable[[str], Service]) -> Credentials:
    renewal = None
    refresh = settings.refresh
    if refresh.enabled:
        members = {"grant_type": "refresh_token", "refresh_token": refresh.refresh_token} | _scopes(refresh.scopes)
        client = (refresh.client_id, refresh.client_secret)
        renewal = _grant(service(refresh.refresh_url or settings.token_url), settings, members, client)
    if settings.direct_token.enabled:
        return Granted(None, renewal, settings.direct_token.access_token)
    if settings.password.enabled:
        chosen = settings.password
        members = {"grant_type": "password", "username": chosen.username, "password": chosen.password}
        members |= _scopes(chosen.scopes)
        client = (chosen.client_id, chosen.client_secret)
        return Granted(_grant(service(settings.token_url), settings, members, client), renewal)
    if settings.client_credential.enabled:
        granted = settings.client_credential
        members = {"grant_type": "client_credentials"} | _scopes(granted.scopes)
        client = (granted.client_id, granted.client_secret)
        return Granted(_grant(service(settings.token_url), settings, members, client), None)
    return Fixed()


def _grant(service: Service, settings: OAuthCredentials, members: dict[str, str], client: tuple[str, str]) -> Grant:
    """Where the client's credentials go is `credentialBearer`; RFC 6749 §2.3.1 has them encoded in the header, too."""
    if settings.credential_bearer == "POST_BODY_BEARER":
        return Grant(service, members | {"client_id": client[0], "client_secret": client[1]}, ())
    if settings.credential_bearer == "NO_BEARER":
        return Grant(service, members, ())
    return Grant(service, members, basic(quote(client[0], safe=""), quote(client[1], safe="")))


def _scopes(text: str) -> dict[str, str]:
    scopes = " ".join(scope.strip() for scope in text.split(",") if scope.strip())
    return {"scope": scopes} if scopes else {}
