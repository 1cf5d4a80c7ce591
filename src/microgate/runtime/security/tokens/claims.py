"""What the claims of a token say: whether it is good now and here, and who calls with it (WSO2 §6.2, §6.8).

The signature is checked by `issuers.py`: after the dates and the audience, which may refuse a token that nobody has
vouched for, and before anything is believed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from microgate.runtime.exchange import Application, Consumer
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError

Claims = dict[str, Any]

# Dates beyond this are no dates: it keeps sums exact and far from overflow.
_MAX_DATE = 1 << 53
_NEVER = float("inf")
# As tuples: a union is made anew each time that it is named.
_NUMBERS = (int, float)
_PLAIN = (str, int)
_NOBODY = Application()
_ACCESS_TOKENS = frozenset({"at+jwt", "application/at+jwt"})


def check_dates(claims: Claims, now: float, leeway: float) -> float:
    """The moment from which the token is refused, in seconds since 1970; raises TokenError where it is now.

    A token without `exp` does not expire (WSO2 §6.2); `iat` ahead of us is a forgery or a wrong clock.
    """
    for name in ("nbf", "iat"):
        earliest = _date(claims, name)
        if earliest is not None and now < earliest - leeway:
            raise TokenError(refusals.NOT_YET_VALID)
    expiry = _date(claims, "exp")
    if expiry is None:
        return _NEVER
    # RFC 7519 §4.1.4: refused on or after the expiration time.
    if now >= expiry + leeway:
        raise TokenError(refusals.EXPIRED)
    return expiry + leeway


def _date(claims: Claims, name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if type(value) is int and -_MAX_DATE < value < _MAX_DATE:
        return value
    # A boolean is an int to Python, and an infinite float fails the comparison.
    if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not -_MAX_DATE < value < _MAX_DATE:
        raise TokenError(refusals.CLAIMS)
    return float(value)


def check_audience(claims: Claims, wanted: tuple[str, ...]) -> None:
    """One of `wanted` must be among the token's; () accepts any, but never a malformed claim."""
    audiences = audiences_of(claims)
    if wanted and not any(audience in wanted for audience in audiences):
        raise TokenError(refusals.AUDIENCE)


def check_access_token(claims: Claims, kind: str) -> None:
    """RFC 9068 §2 and §4: the token says that it is an access token, and all that one has to say. `kind` is its `typ`."""
    if kind not in _ACCESS_TOKENS:
        raise TokenError(refusals.TYPE)
    if any(name not in claims for name in ("exp", "iat")):
        raise TokenError(refusals.CLAIMS)
    if not all(_text(claims, name) for name in ("sub", "client_id", "jti")):
        raise TokenError(refusals.CLAIMS)


def audiences_of(claims: Claims) -> list[str]:
    value = claims.get("aud", [])
    audiences = [value] if isinstance(value, str) else value
    if not isinstance(audiences, list) or not all(isinstance(audience, str) for audience in audiences):
        raise TokenError(refusals.CLAIMS)
    return audiences


def consumer_of(claims: Claims, consumer_key_claim: str, scope_claim: str = "") -> Consumer:
    """Who calls. `name` is the subject: unlike the claim `name` it is unique and not the user's to choose."""
    key_type = _text(claims, "keytype") or "PRODUCTION"
    name = _text(claims, "sub") or _text(claims, "client_id") or _text(claims, "azp")
    consumer = Consumer(name, "jwt", key_type=key_type, scopes=scopes_of(claims, scope_claim))
    consumer.consumer_key, consumer.audience_only = _consumer_key(claims, consumer_key_claim)
    details = claims.get("application")
    if isinstance(details, dict):
        consumer.application_details = application_of(details)
    consumer.application = (consumer.application_details or _NOBODY).name or consumer.consumer_key
    consumer.assertion = _assertion(claims)
    consumer.claims = claims
    return consumer


def scopes_of(claims: Claims, scope_claim: str = "") -> frozenset[str]:
    """Every shape that issuers use: `scope` or `scp`, as a string with blanks or commas or as a list.

    `scope_claim` names another claim in their place, or the way to one, such as `realm_access.roles`.
    """
    if not scope_claim and "scp" not in claims:
        text = claims.get("scope")
        if type(text) is str:
            return _parted(text)
    values = [_nested(claims, scope_claim)] if scope_claim else [claims.get("scope"), claims.get("scp")]
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            found |= _parted(value)
        elif isinstance(value, list):
            found.update(scope for scope in value if isinstance(scope, str))
    found.discard("")
    return frozenset(found)


# Callers come with a few choices of scopes, so their tokens share what is made of one. A text is shorter than a token.
@lru_cache(maxsize=256)
def _parted(text: str) -> frozenset[str]:
    """A comma may be part of a scope (RFC 6749 §3.3), so it parts scopes only where no blank does."""
    return frozenset(text.split(" ") if " " in text else (text, *text.split(","))) - {""}


def _nested(claims: Claims, way: str) -> object:
    """A claim of this name, or what the way leads to; the names of claims may have dots themselves."""
    if way in claims:
        return claims[way]
    value: object = claims
    for name in way.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def application_of(details: dict[str, Any]) -> Application:
    """What the claim `application` says (WSO2 §6.8); numbers count as their text, anything else as nothing."""
    get = details.get
    return Application._make(
        [value if type(value := get(name, "")) is str else _as_text(value) for name in Application._fields]
    )


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, _PLAIN) and not isinstance(value, bool) else ""


def _consumer_key(claims: Claims, consumer_key_claim: str) -> tuple[str, bool]:
    """The key of the caller's application, and whether it is the audience alone that says it.

    It is in the claim of the settings, else in that of the key manager, else it is the audience.
    """
    for name in (consumer_key_claim, "consumerKey", "aud"):
        key = claims.get(name)
        if isinstance(key, list) and key:
            key = key[0]
        if isinstance(key, str) and key:
            # Most issuers write the API into `aud`, the same for all callers; others the client, and then say so elsewhere too.
            said = any(claims.get(other) == key for other in ("consumerKey", "azp", "client_id"))
            return key, name == "aud" and not said
    return "", False


def _assertion(claims: Claims) -> bytes:
    """A ready token for backends that the issuer has put in (WSO2 §6.10); it goes into a header, so it must fit there."""
    value = _text(claims, "backendJwt")
    if not value:
        return b""
    if not all("!" <= character <= "~" for character in value):
        raise TokenError(refusals.CLAIMS)
    return value.encode()


def _text(claims: Claims, name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise TokenError(refusals.CLAIMS)
    return value
