"""Why a credential is refused: stable reasons, and the challenge that tells the client the truth about them.

Token code raises `TokenError` with one of these reasons; the stages ask `Refusals` for the fault to answer with. Sources:
RFC 6750 §3 for the challenge, WSO2 §6.1 for the text that `[compatibility] statuses = "wso2"` brings back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault, Kind

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

MALFORMED = "auth.jwt.malformed"
SIZE = "auth.jwt.size"
ALGORITHM = "auth.jwt.algorithm"
CRITICAL = "auth.jwt.critical"
TYPE = "auth.jwt.type"
ISSUER = "auth.jwt.issuer"
AUDIENCE = "auth.jwt.audience"
EXPIRED = "auth.jwt.expired"
NOT_YET_VALID = "auth.jwt.not_yet_valid"
CLAIMS = "auth.jwt.claims"
SIGNATURE = "auth.jwt.signature"
KEY_UNKNOWN = "auth.jwt.key_unknown"
KEY_EXPIRED = "auth.jwt.key_expired"
KEYS_UNAVAILABLE = faults.KEYS_UNAVAILABLE.label
MISSING = faults.MISSING_CREDENTIALS.label
WRONG_SCHEME = faults.WRONG_SCHEME.label
REPEATED = "auth.repeated"
NO_SCHEME = "auth.no_scheme"
OPAQUE = "auth.opaque.unknown"

# What the client is told: enough to mend its token, nothing about which keys or names are trusted.
_DESCRIPTIONS = {
    MALFORMED: "the access token is malformed",
    SIZE: "the access token is too large",
    ALGORITHM: "the signature algorithm of the access token is not accepted",
    CRITICAL: "the access token demands an extension that is not supported",
    TYPE: "the token is not an access token",
    ISSUER: "the issuer of the access token is not trusted",
    AUDIENCE: "the access token is meant for another audience",
    EXPIRED: "the access token expired",
    NOT_YET_VALID: "the access token is not valid yet",
    CLAIMS: "a claim of the access token is malformed",
    SIGNATURE: "the signature of the access token is not valid",
    KEY_UNKNOWN: "the key that signed the access token is not known",
    KEY_EXPIRED: "the key that signed the access token is no longer valid",
    REPEATED: "more than one credential was sent",
    NO_SCHEME: "the credential names no scheme",
    OPAQUE: "the access token is not known",
}
_KINDS = {
    MISSING: faults.MISSING_CREDENTIALS,
    WRONG_SCHEME: faults.WRONG_SCHEME,
    KEYS_UNAVAILABLE: faults.KEYS_UNAVAILABLE,
}
REASONS = (*_DESCRIPTIONS, *_KINDS)

_WSO2_REALM = 'realm="WSO2 API Microgateway"'
_WSO2_TEXT = ', error="invalid token" , error_description="The access token expired"'


class TokenError(Exception):
    """A token is refused for `reason`, one of the constants above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownKeyError(TokenError):
    """A token names a key that its issuer may have added since. `ask()` is done when there is news, or None for never."""

    def __init__(self, reason: str, ask: Callable[[], Future[None] | None]) -> None:
        super().__init__(reason)
        self.ask = ask


class Refusals:
    """The faults of one choice of schemes, made once and shared: a fault is never changed after it is made."""

    def __init__(self, schemes: tuple[str, ...], *, wso2: bool) -> None:
        self._schemes = schemes
        self._wso2 = wso2
        self._faults = {reason: self._fault(reason) for reason in REASONS}

    def fault(self, reason: str) -> Fault:
        return self._faults[reason]

    def insufficient_scope(self, scopes: tuple[str, ...]) -> Fault:
        """The 403 that names the scopes of which any one would do."""
        if self._wso2:
            return Fault(faults.SCOPES)
        challenge = 'Bearer realm="microgate", error="insufficient_scope"'
        if all(_is_scope_token(scope) for scope in scopes):
            challenge += f', scope="{" ".join(scopes)}"'
        return Fault(faults.SCOPES, headers=((b"WWW-Authenticate", challenge.encode()),))

    def _fault(self, reason: str) -> Fault:
        kind: Kind = _KINDS.get(reason, faults.INVALID_CREDENTIALS)
        if kind.status != 401:
            return Fault(kind, reason)
        challenge = self._wso2_challenge() if self._wso2 else self._challenge(reason)
        return Fault(kind, reason, headers=((b"WWW-Authenticate", challenge.encode()),))

    def _challenge(self, reason: str) -> str:
        challenge = 'Bearer realm="microgate"'
        description = _DESCRIPTIONS.get(reason)
        # RFC 6750 §3.1: a request without a bearer token learns the scheme and no error.
        return (
            challenge
            if description is None
            else f'{challenge}, error="invalid_token", error_description="{description}"'
        )

    def _wso2_challenge(self) -> str:
        names = [f"OAuth2 {_WSO2_REALM}"] if {"oauth2", "jwt"} & set(self._schemes) else []
        if "basic" in self._schemes:
            names.append(f"Basic Auth {_WSO2_REALM}")
        return " ".join(names) + _WSO2_TEXT


def _is_scope_token(scope: str) -> bool:
    """RFC 6749 §3.3: what may stand in a scope, and so between the quotes of a challenge."""
    return bool(scope) and all("!" <= character <= "~" and character not in '"\\' for character in scope)
