"""The services that the gateway offers beside the APIs, as stages and forward steps: who may ask, how often, and over what.

Assembly gives them their routes, on the API listener and on the one of the token services. Their code is imported when they are
first asked.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from microgate.plan import model
from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.security import authenticate
from microgate.runtime.security.subscriptions import stage as subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Forward, Stage
    from microgate.runtime.security.context import SecurityContext

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
MINUTE_SECONDS = 60.0
KEYS_PATH = "/apikey"
TOKEN_PATHS = ("/token", "/authorize", "/revoke", "/userinfo")


class BuiltIn(NamedTuple):
    """One of them. Its stages follow the request's ids."""

    stages: tuple[Stage, ...]
    forward: Forward
    max_body_bytes: int


class BuiltIns:
    """Those of one worker, by their paths; each is made when it is first asked for. `pages` are stages for pages' preflights."""

    def __init__(self, context: SecurityContext, pages: tuple[Stage, ...] = ()) -> None:
        self._context = context
        self._first = (_over_tls, *pages)
        self.token_paths = TOKEN_PATHS if context.settings.key_manager.server_url else ()  # a key manager to ask
        self.paths = (KEYS_PATH, *self.token_paths)

    def make(self, path: str) -> BuiltIn:
        return self._of_keys() if path == KEYS_PATH else self._of_tokens

    def _of_keys(self) -> BuiltIn:
        from microgate.runtime.security.api_keys import key_issuer
        from microgate.runtime.security.services.collected_bodies import forward_to

        context = self._context
        operation = describe(KEYS_PATH)
        who = authenticate.link(context, operation.api, operation.operation)
        assert who is not None
        limit = _limit(context.settings.api_key.signing.max_requests_per_minute, context.clock)
        taken = _taken_back(context, operation.operation)
        return BuiltIn(
            (*self._first, limit, who, *taken),
            forward_to(key_issuer.KeyIssuer(context).serve),
            key_issuer.MAX_BODY_BYTES,
        )

    @cached_property
    def _of_tokens(self) -> BuiltIn:
        """One for all of them: they share connections and the limit."""
        from microgate.runtime.security.services import token_services
        from microgate.runtime.security.services.collected_bodies import forward_to

        context = self._context
        limit = _limit(context.settings.key_manager.max_requests_per_minute, context.clock)
        return BuiltIn(
            (*self._first, limit),
            forward_to(token_services.TokenServices(context).serve),
            token_services.MAX_BODY_BYTES,
        )


class Described(NamedTuple):
    """A service in the words of a plan."""

    api: model.Api
    operation: model.Operation


def describe(path: str) -> Described:
    operation = model.Operation(path[1:], "*", "/", security=model.Security(schemes=("basic",)))
    return Described(model.Api("", path[1:], "", path, "", (operation,)), operation)


def _taken_back(context: SecurityContext, operation: model.Operation) -> tuple[Stage, ...]:
    """Who was revoked or is blocked gets no new key either."""
    stages = [subscriptions.blocking(context, operation)]
    if context.revocations is not None:
        from microgate.runtime.security.revocation import stage as revocation

        stages.append(revocation.link(context, operation))
    return tuple(stage for stage in stages if stage is not None)


def _over_tls(exchange: Exchange) -> Fault | None:
    """Over plain HTTP there are none of them: they take and give secrets (WSO2 §5.1)."""
    return None if exchange.scheme == "https" else Fault(faults.NOT_FOUND)


def _limit(per_minute: int, clock: Callable[[], float]) -> Stage:
    from microgate.runtime.security.passwords.guess_limits import GuessLimit, network_of

    asked = GuessLimit(per_minute, MINUTE_SECONDS, clock)
    refusal = Fault(faults.SERVICE_RATE, headers=((b"Retry-After", b"60"),))

    def limit(exchange: Exchange) -> Fault | None:
        address = network_of(exchange.client)
        if asked.is_reached(address):
            return refusal
        asked.count(address)
        return None

    return limit
