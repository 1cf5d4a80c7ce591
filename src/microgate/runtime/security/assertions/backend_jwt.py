"""The tokens that tell a backend who calls, made and kept (WSO2 §6.10); `stage.py` sends them.

Tokens are kept per caller and API until shortly before they expire, so that signing is off the common way. The claims are in
`backend_claims.py`, the key in `backend_signer.py`.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Any

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.security.assertions import backend_signer, user_claims
from microgate.runtime.security.assertions.backend_claims import BackendClaims
from microgate.runtime.security.assertions.user_claims import UserClaimsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microgate.plan.model import Api
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.pipeline import Outcome
    from microgate.runtime.security.context import SecurityContext

KEY = "jwtGeneratorConfig.generator"
DEFAULT_SKEW_SECONDS = 5.0
MAX_KEPT_BYTES = 16 << 20
FIXED_BYTES = 400  # of an entry besides its token
MAX_TOKEN_BYTES = 16_384
QUIET_SECONDS = 10.0  # between two warnings of failed tokens

log = logging.getLogger("microgate.security")


class TokenFailedError(Exception):
    """A token cannot be made; the message says why."""


class BackendTokens:
    """Makes and keeps the tokens of one worker. Raises KeyMaterialError and SettingsError."""

    def __init__(self, context: SecurityContext) -> None:
        settings = context.settings
        configured, caching = settings.backend_jwt, settings.backend_jwt.jwt_generator_caching
        self.signer = backend_signer.load(settings)
        self._start = settings.backend_jwt_header.header.encode() + b": "
        self._claims = BackendClaims(configured)
        skew_ms = settings.server.timestamp_skew
        skew_s = DEFAULT_SKEW_SECONDS if skew_ms < 0 else skew_ms / 1000
        # A lifetime below the leeway would have each token made anew.
        self._kept_for_s = max(self._claims.lifetime_s - skew_s, self._claims.lifetime_s / 2)
        self._capacity = caching.token_cache_capacity if caching.token_cache_enable else 0
        self._fails_open = configured.fail_open
        self._clock = context.clock
        self._entries: OrderedDict[tuple[Consumer, str], tuple[bytes, float]] = OrderedDict()
        self._size_bytes = 0
        self._warned_at = float("-inf")
        self._made = context.counter("backend_tokens")
        self._failed = context.counter("backend_token_failures")
        self._generator: Callable[..., Any] | None = None
        if configured.generator:
            self._generator = context.extensions.find(configured.generator, KEY)
        self._user_claims = user_claims.load(context, self._claims.lifetime_s)

    def find(self, consumer: Consumer, api_id: str) -> bytes | None:
        """The header line for a caller and an API, where one is kept that is good for a while."""
        entry = self._entries.get((consumer, api_id))
        if entry is None:
            return None
        if self._clock() >= entry[1]:
            self._drop((consumer, api_id))
            return None
        return entry[0]

    def make(self, exchange: Exchange, consumer: Consumer, api: Api) -> Outcome | Awaitable[Outcome]:
        """Make a token and add it to the request; a fault where it cannot be made, unless the settings let it pass."""
        if self._user_claims is not None and self._user_claims.wanted(consumer):
            return self._make_with_claims(exchange, consumer, api)
        return self._attach(exchange, consumer, api, {})

    async def _make_with_claims(self, exchange: Exchange, consumer: Consumer, api: Api) -> Fault | None:
        assert self._user_claims is not None
        try:
            retrieved = await self._user_claims.get(consumer)
        except UserClaimsError as error:
            return self._fail(str(error))
        return self._attach(exchange, consumer, api, retrieved)

    def _attach(self, exchange: Exchange, consumer: Consumer, api: Api, retrieved: dict[str, Any]) -> Fault | None:
        now = self._clock()
        try:
            line = self._start + self._token(consumer, api, now, retrieved)
        except TokenFailedError as error:
            return self._fail(str(error))
        self._made(1)
        self._keep((consumer, api.id), line, now + self._kept_for_s)
        exchange.passing = [*exchange.passing, line]
        return None

    def _token(self, consumer: Consumer, api: Api, now: float, retrieved: dict[str, Any]) -> bytes:
        claims: Any = self._claims.make(consumer, api, now, retrieved)
        if self._generator is not None:
            claims = _generate(self._generator, claims, consumer, api)
        if isinstance(claims, str):
            if not claims or not all("!" <= character <= "~" for character in claims):
                raise TokenFailedError("the generator returned a text that fits in no header")
            token = claims.encode()
        else:
            try:
                token = self.signer.seal(json.dumps(claims, separators=(",", ":"), allow_nan=False).encode())
            except (ValueError, TypeError, RecursionError) as error:
                raise TokenFailedError(f"its claims cannot be written as JSON: {type(error).__name__}") from None
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenFailedError(f"it is larger than {MAX_TOKEN_BYTES} bytes")
        return token

    def _fail(self, why: str) -> Fault | None:
        self._failed(1)
        now = monotonic()
        if now >= self._warned_at + QUIET_SECONDS:
            self._warned_at = now
            effect = "requests go on without it" if self._fails_open else "requests are refused"
            log.warning("a token for a backend cannot be made: %s; %s", why, effect)
        return None if self._fails_open else Fault(faults.BACKEND_TOKEN)

    def _keep(self, key: tuple[Consumer, str], line: bytes, until: float) -> None:
        if not self._capacity:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (line, until)
        self._size_bytes += FIXED_BYTES + len(line)
        while len(self._entries) > self._capacity or self._size_bytes > MAX_KEPT_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[Consumer, str]) -> None:
        line, _ = self._entries.pop(key)
        self._size_bytes -= FIXED_BYTES + len(line)


def _generate(generator: Callable[..., Any], claims: dict[str, Any], consumer: Consumer, api: Api) -> Any:
    """What the project's function makes of the claims: others to sign, or a whole token as a text."""
    about = {"api": api.name, "version": api.version, "context": api.base_path, "token": dict(consumer.claims)}
    try:
        made = generator(claims, about)
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises, the token is not made
        raise TokenFailedError(f"the generator failed: {type(error).__name__}") from None
    if not isinstance(made, str | dict):
        raise TokenFailedError("the generator returned neither claims nor a token")
    return made
