"""Why a credential is refused: stable reasons, and the challenges that tell the client the truth about them.

Code that judges credentials raises `TokenError` with a `Reason` of its own; the stages ask `Refusals` for the fault to answer
with. Sources: RFC 9110 §11.6.1 and RFC 6750 §3 for challenges, WSO2 §6.1 for the text that `[compatibility] statuses = "wso2"`
brings back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from microgate.runtime import faults
from microgate.runtime.faults import Fault

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable

    from microgate.plan.model import Security
    from microgate.runtime.faults import Kind


INVALID_TOKEN = "invalid_token"  # noqa: S105 - a word of RFC 6750


class Reason(str):
    """A stable dotted word for logs. `kind` is the fault it becomes; `told` is what the client of a bearer token learns.

    `told` says enough to mend a token, and nothing about which keys or names are trusted; "" says nothing. `error` is the
    word of RFC 6750 or RFC 9449 for it.
    """

    __slots__ = ("error", "kind", "told")

    told: str
    kind: Kind
    error: str

    def __new__(
        cls, word: str, told: str = "", kind: Kind = faults.INVALID_CREDENTIALS, *, error: str = INVALID_TOKEN
    ) -> Self:
        self = super().__new__(cls, word)
        self.told = told
        self.kind = kind
        self.error = error
        return self


MALFORMED = Reason("auth.jwt.malformed", "the access token is malformed")
SIZE = Reason("auth.jwt.size", "the access token is too large")
ALGORITHM = Reason("auth.jwt.algorithm", "the signature algorithm of the access token is not accepted")
CRITICAL = Reason("auth.jwt.critical", "the access token demands an extension that is not supported")
TYPE = Reason("auth.jwt.type", "the token is not an access token")
ISSUER = Reason("auth.jwt.issuer", "the issuer of the access token is not trusted")
AUDIENCE = Reason("auth.jwt.audience", "the access token is meant for another audience")
EXPIRED = Reason("auth.jwt.expired", "the access token expired")
NOT_YET_VALID = Reason("auth.jwt.not_yet_valid", "the access token is not valid yet")
CLAIMS = Reason("auth.jwt.claims", "a claim of the access token is malformed")
SIGNATURE = Reason("auth.jwt.signature", "the signature of the access token is not valid")
KEY_UNKNOWN = Reason("auth.jwt.key_unknown", "the key that signed the access token is not known")
KEY_EXPIRED = Reason("auth.jwt.key_expired", "the key that signed the access token is no longer valid")
KEYS_UNAVAILABLE = Reason(faults.KEYS_UNAVAILABLE.label, kind=faults.KEYS_UNAVAILABLE)
MISSING = Reason(faults.MISSING_CREDENTIALS.label, kind=faults.MISSING_CREDENTIALS)
WRONG_SCHEME = Reason(faults.WRONG_SCHEME.label, kind=faults.WRONG_SCHEME)
REPEATED = Reason("auth.repeated", "more than one credential was sent")
NO_SCHEME = Reason("auth.no_scheme", "the credential names no scheme")
OPAQUE = Reason("auth.opaque.unknown", "the access token is not known")

_WSO2_REALM = 'realm="WSO2 API Microgateway"'
_WSO2_TEXT = ', error="invalid token" , error_description="The access token expired"'

_CERTIFICATE = (
    f"{faults.INVALID_CREDENTIALS.message}. Make sure you have given a client certificate that this API accepts"
)
_API_KEY = f"{faults.INVALID_CREDENTIALS.message}. Make sure you have given the correct API key"

# The challenge of each kind of credential, in the order in which they are sent.
_CHALLENGES = {
    "oauth2": 'Bearer realm="microgate"',
    "jwt": 'Bearer realm="microgate"',
    "dpop": 'DPoP realm="microgate", algs="ES256 ES384 ES512 EdDSA RS256 RS384 RS512 PS256 PS384 PS512"',
    "basic": 'Basic realm="microgate", charset="UTF-8"',
    "api_key": 'ApiKey realm="microgate"',
    "mutual_tls": 'MutualTLS realm="microgate"',
    "forward": 'Bearer realm="microgate"',
}


def challenged(security: Security) -> tuple[str, ...]:
    """The kinds of credential that an operation's challenges name: where tokens must be bound, how they are shown."""
    schemes = security.schemes
    if security.bound_tokens == "dpop":
        schemes = tuple(kind for kind in schemes if kind not in ("jwt", "oauth2"))
    return (*schemes, "dpop") if takes_proofs(security) else schemes


def takes_proofs(security: Security) -> bool:
    """Whether tokens may come with a proof of possession (RFC 9449)."""
    demands = {security.bound_tokens}
    demands.update(member.bound_tokens for alternative in security.alternatives for member in alternative)
    return not demands.isdisjoint(("dpop", "any"))


class TokenError(Exception):
    """A credential is refused for `reason`; `fault` is the answer where a service has worded it itself."""

    def __init__(self, reason: Reason, fault: Fault | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault = fault


class UnknownKeyError(TokenError):
    """A token names a key that its issuer may have added since. `ask()` is done when there is news, or None for never."""

    def __init__(self, reason: Reason, ask: Callable[[], Future[None] | None]) -> None:
        super().__init__(reason)
        self.ask = ask


class Refusals:
    """The faults of one choice of schemes, each made once and shared: a fault is never changed after it is made."""

    def __init__(self, schemes: tuple[str, ...], *, wso2: bool) -> None:
        self._schemes = schemes
        self._wso2 = wso2
        self._challenges = tuple(dict.fromkeys(_CHALLENGES[kind] for kind in _CHALLENGES if kind in schemes))
        self._faults: dict[Reason, Fault] = {}

    def fault(self, reason: Reason) -> Fault:
        fault = self._faults.get(reason)
        if fault is None:
            fault = self._faults[reason] = self._make(reason)
        return fault

    def of(self, error: TokenError) -> Fault:
        return error.fault or self.fault(error.reason)

    def insufficient_scope(self, scopes: tuple[str, ...]) -> Fault:
        """The 403 that names the scopes of which any one would do."""
        if self._wso2:
            return Fault(faults.SCOPES)
        challenge = 'Bearer realm="microgate", error="insufficient_scope"'
        if all(_is_scope_token(scope) for scope in scopes):
            challenge += f', scope="{" ".join(scopes)}"'
        return Fault(faults.SCOPES, headers=((b"WWW-Authenticate", challenge.encode()),))

    def _make(self, reason: Reason) -> Fault:
        if reason.kind.status != 401:
            return Fault(reason.kind, reason)
        if self._wso2:
            prefix = f"Mutual SSL {_WSO2_REALM} " if reason.startswith("auth.mutual_tls.") else ""
            challenge = (prefix + self._wso2_challenge()).encode()
            return Fault(reason.kind, reason, headers=((b"WWW-Authenticate", challenge),))
        lines = tuple((b"WWW-Authenticate", self._challenge(text, reason).encode()) for text in self._challenges)
        return Fault(reason.kind, reason, description=self._description(reason), headers=lines)

    def _description(self, reason: Reason) -> str:
        """What to mend, where the sentence of 3.x speaks of an access token to callers who have none; "" keeps it."""
        if reason.kind is not faults.INVALID_CREDENTIALS:
            return ""
        if reason.startswith("auth.mutual_tls."):
            return _CERTIFICATE
        return _API_KEY if reason.startswith("auth.api_key.") or self._schemes == ("api_key",) else ""

    @staticmethod
    def _challenge(text: str, reason: Reason) -> str:
        # RFC 6750 §3.1: a request without a bearer token learns the scheme and no error. A proof's errors are DPoP's alone.
        if reason.told and (text.startswith("DPoP") or (text.startswith("Bearer") and reason.error == INVALID_TOKEN)):
            return f'{text}, error="{reason.error}", error_description="{reason.told}"'
        return text

    def _wso2_challenge(self) -> str:
        names = [f"OAuth2 {_WSO2_REALM}"] if {"oauth2", "jwt", "dpop"} & set(self._schemes) else []
        if "basic" in self._schemes:
            names.append(f"Basic Auth {_WSO2_REALM}")
        return " ".join(names) + _WSO2_TEXT


def _is_scope_token(scope: str) -> bool:
    """RFC 6749 §3.3: what may stand in a scope, and so between the quotes of a challenge."""
    return bool(scope) and all("!" <= character <= "~" and character not in '"\\' for character in scope)
