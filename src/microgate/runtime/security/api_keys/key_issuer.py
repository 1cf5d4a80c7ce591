"""`/apikey`: hands signed API keys to users that prove who they are with their password (WSO2 §6.5).

On HTTPS alone. Who asks is judged by the scheme of passwords before a request gets here; `signing_keys.py` has the key.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

from microgate.errors import KeyMaterialError
from microgate.runtime import faults
from microgate.runtime.faults import Answer, Fault

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.api_keys.signing_keys import SigningKey
    from microgate.runtime.security.context import SecurityContext
    from microgate.settings.model import Settings

MAX_BODY_BYTES = 4_096
LONGEST_SECONDS = 1 << 40
_TEXT = [(b"Content-Type", b"text/plain"), (b"Cache-Control", b"no-store")]
_JSON = [(b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")]

log = logging.getLogger("microgate.security")


class KeyIssuer:
    """One worker's. The signing key is read when it is first needed, and kept."""

    def __init__(self, context: SecurityContext) -> None:
        self._settings = context.settings
        self._signing = context.settings.api_key.signing
        self._wso2 = context.settings.compatibility.statuses == "wso2"
        self._apis = allowed_apis(context.settings)
        self._clock = context.clock
        self._key: SigningKey | None = None
        self._trouble = ""

    async def serve(self, exchange: Exchange, body: bytes) -> Answer | Fault:
        """The key as text; a fault where there is none to give."""
        if not self._signing.enabled:
            return self._failure(faults.KEYS_NOT_ISSUED)
        try:
            wish = wished_seconds(body)
        except ValueError:
            return self._failure(faults.SERVICE_BODY)
        if self._key is None and not await self._load():
            return self._failure(faults.SIGNING_KEY)
        assert self._key is not None
        assert exchange.consumer is not None
        token = self._key.token(self._claims(exchange.consumer.name, wish))
        return Answer(200, list(_TEXT), token)

    def _claims(self, user: str, wish_s: int) -> dict[str, Any]:
        now = int(self._clock())
        lasts_s = self._signing.validity_time
        if wish_s > 0:
            lasts_s = wish_s if lasts_s < 0 else min(lasts_s, wish_s)
        claims: dict[str, Any] = {"sub": user, "iss": self._signing.issuer, "jti": str(uuid.uuid4()), "iat": now}
        if lasts_s >= 0:
            claims["exp"] = now + lasts_s
        return claims | {"keytype": "PRODUCTION", "allowedAPIs": self._apis}

    async def _load(self) -> bool:
        from microgate.runtime.security.api_keys import signing_keys

        try:
            self._key = await asyncio.to_thread(signing_keys.load, self._settings)
        except KeyMaterialError as error:
            if str(error) != self._trouble:
                log.error("no API keys can be issued: %s", error)  # noqa: TRY400 - the error is the user's
            self._trouble = str(error)
        return self._key is not None

    def _failure(self, kind: faults.Kind) -> Answer | Fault:
        """3.x said 200 whatever was wrong (weakness 7)."""
        if not self._wso2:
            return Fault(kind)
        if kind is faults.KEYS_NOT_ISSUED:
            return Answer(200, list(_TEXT), b"Error: API Key issuer is disabled")
        return Answer(200, list(_JSON), b'{"error":"error occurred while generating API Key token"}')


def allowed_apis(settings: Settings) -> list[dict[str, str]]:
    """What issued keys are good for, one entry for each version."""
    return [
        {"name": api.name, "version": version.strip()}
        for api in settings.api_key.allowed_apis
        for version in api.versions.split(",")
        if version.strip()
    ]


def wished_seconds(body: bytes) -> int:
    """The `validityTime` of a body, -1 for none; raises ValueError for a body that is no such JSON object."""
    if not body.strip():
        return -1
    try:
        wish = json.loads(body)
    except RecursionError:
        raise ValueError("the body is nested too deep") from None
    if not isinstance(wish, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004 - its caller asks about the text
    seconds = wish.get("validityTime", -1)
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int)
        or not (seconds == -1 or 0 < seconds < LONGEST_SECONDS)
    ):
        raise ValueError("`validityTime` is no number of seconds")
    return seconds
