"""More claims of a user, from the key manager or from the project's own function, for tokens to backends (WSO2 §6.10).

Asked for once per caller while a token is made; a caller that was asked for is remembered for as long as its token, and one
whose claims could not be had for a moment, so that each of its requests does not wait anew.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from microgate.errors import SettingsError
from microgate.runtime.security.breaker import Breaker
from microgate.runtime.security.calls import Service, ServiceError, Shared
from microgate.runtime.security.fetch import FetchError, Question, make_tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microgate.runtime.exchange import Consumer
    from microgate.runtime.security.context import SecurityContext
    from microgate.settings.model import Settings

    Retrieve = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

PATH = "/keymanager-operations/user-info/claims/generate"
KEY = "jwtGeneratorConfig.claimRetrieval.retriever"
TIMEOUT_SECONDS = 5.0
MAX_REMEMBERED = 5_000
FAILED_SECONDS = 2.0  # what could not be had for a caller is not asked for again so soon
MAX_THREADS = 16  # of functions that are not async, at once


class UserClaimsError(Exception):
    """The claims cannot be had; the message says why."""


class UserClaims:
    """Retrieves claims of callers whose issuer the settings want more of."""

    def __init__(self, context: SecurityContext, retrieve: Retrieve, lifetime_s: float) -> None:
        settings = context.settings
        self._retrieve = retrieve
        self._lifetime_s = lifetime_s
        self._clock = context.clock
        self._issuers = {entry.issuer for entry in settings.issuers if entry.remote_user_claim_retrieval_enabled}
        self._of_opaque = settings.key_manager.remote_user_claim_retrieval_enabled
        self._opaque_issuer = settings.key_manager.issuer
        self._shared: Shared[tuple[dict[str, Any] | UserClaimsError, float]] = Shared()
        self._known: OrderedDict[Consumer, tuple[dict[str, Any] | UserClaimsError, float]] = OrderedDict()

    def wanted(self, consumer: Consumer) -> bool:
        if consumer.credential == "oauth2":
            return self._of_opaque
        return consumer.claims.get("iss") in self._issuers

    async def get(self, consumer: Consumer) -> dict[str, Any]:
        """The claims; raises UserClaimsError."""
        known = self._known.get(consumer)
        if known is None or self._clock() >= known[1]:
            known = self._known[consumer] = await self._shared.get(consumer, partial(self._find, consumer))
            if len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        found = known[0]
        if isinstance(found, UserClaimsError):
            raise UserClaimsError(str(found))
        return found

    async def _find(self, consumer: Consumer) -> tuple[dict[str, Any] | UserClaimsError, float]:
        """The claims or why there are none, and until when that holds."""
        try:
            return await self._ask(consumer), self._clock() + self._lifetime_s
        except UserClaimsError as error:
            return error, self._clock() + FAILED_SECONDS

    async def _ask(self, consumer: Consumer) -> dict[str, Any]:
        opaque = consumer.credential == "oauth2"
        issuer = consumer.claims.get("iss")
        about = {
            "issuer": issuer if isinstance(issuer, str) else self._opaque_issuer,
            "client_id": consumer.consumer_key,
            "username": consumer.name,
            "token_type": "bearer opaque" if opaque else "bearer JWT",
            "customClaims": dict(consumer.claims),
        }
        return await self._retrieve(about)


def load(context: SecurityContext, lifetime_s: float) -> UserClaims | None:
    """The retriever of the settings, None where there is none; raises SettingsError."""
    configured = context.settings.backend_jwt
    if configured.retriever:
        return UserClaims(context, Own(context.extensions.find(configured.retriever, KEY)), lifetime_s)
    if configured.retriever_impl:
        supplied = _Supplied(context.settings)
        context.closers.append(supplied.close)
        return UserClaims(context, supplied, lifetime_s)
    return None


class Own:
    """The project's function: it gets what is known of the caller and returns a dict of claims. May be async.

    One that gives no answer in time some times in a row is not called for a while. One that fails at once makes nobody wait.
    """

    def __init__(self, function: Callable[..., Any], timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._function = function
        self._timeout_s = timeout_s
        self._is_async = inspect.iscoroutinefunction(function)
        self._threads = asyncio.Semaphore(MAX_THREADS)
        self._breaker = Breaker("retriever of user claims")

    async def __call__(self, about: dict[str, Any]) -> dict[str, Any]:
        if self._breaker.is_open:
            raise UserClaimsError("the retriever is not called for a while, it gave no answer several times")
        self._breaker.waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._is_async:
                    found = await self._function(about)
                else:
                    async with self._threads:
                        found = await asyncio.to_thread(self._function, about)
        except TimeoutError:
            self._breaker.fail(f"no answer within {self._timeout_s:g} s")
            raise UserClaimsError(f"the retriever gave no answer within {self._timeout_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises, the token is not made
            self._breaker.succeed()
            raise UserClaimsError(f"the retriever failed: {type(error).__name__}") from None
        finally:
            self._breaker.waiting -= 1
        self._breaker.succeed()
        if type(found) is not dict or not all(isinstance(name, str) for name in found):
            raise UserClaimsError("the retriever returned no dict of claims")
        return found


class _Supplied:
    """The protocol of the retriever that 3.x supplied: a POST to the key manager."""

    def __init__(self, settings: Settings) -> None:
        told = settings.backend_jwt.retriever_configuration
        url = told.get("serverUrl") or settings.key_manager.server_url
        user, password = (told.get(name) or getattr(settings.apim, name) for name in ("username", "password"))
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = (("Authorization", f"Basic {credentials}"), ("Content-Type", "application/json"))
        self._target = urlsplit(url).path.rstrip("/") + PATH
        try:
            self._service = Service("claim retriever", url, partial(make_tls, settings), timeout_s=TIMEOUT_SECONDS)
        except FetchError as error:
            key = "jwtGeneratorConfig.claimRetrieval.configuration.serverUrl"
            raise SettingsError(f"`{key}`: `{url}` cannot be used: {error}") from None

    async def __call__(self, about: dict[str, Any]) -> dict[str, Any]:
        # The tenant that 3.x appends to names is no part of the user's.
        name = about["username"]
        name = name.rpartition("@")[0] if name.count("@") and name.endswith("@carbon.super") else name
        question = Question("POST", self._headers, json.dumps({"username": name}).encode(), self._target)
        try:
            reply = await self._service.call(question)
        except ServiceError as error:
            raise UserClaimsError(f"the claim retriever {error}") from None
        if reply.status != 200:
            raise UserClaimsError(f"the claim retriever answers {reply.status}")
        try:
            return {_text(entry["uri"]): entry["value"] for entry in json.loads(reply.body)["list"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserClaimsError("the claim retriever's answer has no list of `uri` and `value`") from None

    def close(self) -> None:
        self._service.close()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
