"""What an authorization server says of a token (RFC 7662 §2.2): whether it is good now and here, and who calls with it.

An answer that does not say so plainly is no answer: nobody passes on a guess. `scheme.py` asks and remembers.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from microgate.runtime import faults
from microgate.runtime.exchange import Consumer
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.tokens import claims as claims_of

MAX_ANSWER_BYTES = 65_536

INACTIVE = Reason("auth.opaque.inactive", "the access token is not active")
EXPIRED = Reason("auth.opaque.expired", "the access token expired")
NOT_YET_VALID = Reason("auth.opaque.not_yet_valid", "the access token is not valid yet")
AUDIENCE = Reason("auth.opaque.audience", "the access token is meant for another audience")
TYPE = Reason("auth.opaque.type", "the token is not an access token")
ANSWER = Reason("auth.opaque.answer", kind=faults.AUTH_SERVICE_UNAVAILABLE)

Claims = dict[str, Any]

# Dates beyond this mean "never": servers write the largest number they have.
_NEVER = 1 << 53
_FAR_PAST = -_NEVER


class AnswerError(Exception):
    """The answer is none; the message says why, to follow "its answer "."""


def read(document: bytes) -> Claims:
    """The members of an answer whose `active` is true or false; raises AnswerError for any other."""
    if len(document) > MAX_ANSWER_BYTES:
        raise AnswerError(f"is larger than {MAX_ANSWER_BYTES} bytes")
    return check(read_object(document))


def read_object(document: bytes) -> Claims:
    """The members of a JSON object, each once; raises AnswerError for anything else."""
    try:
        members = _decoder.decode(document.decode())
        json.dumps(members, ensure_ascii=False).encode()  # half a surrogate pair could be neither logged nor sent on
    except (ValueError, RecursionError):
        raise AnswerError("is no JSON") from None
    if type(members) is not dict:
        raise AnswerError("is no object")
    return members


def check(members: Claims) -> Claims:
    """The members that have a value; raises AnswerError where one that counts is not of its type."""
    members = {name: value for name, value in members.items() if value is not None}
    if type(members.get("active")) is not bool:
        raise AnswerError("has no `active` that is true or false")
    for name in ("exp", "nbf"):
        value = members.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise AnswerError(f"has a `{name}` that is no number")
    for name in ("username", "sub", "client_id", "iss", "token_type"):
        if not isinstance(members.get(name, ""), str):
            raise AnswerError(f"has a `{name}` that is no text")
    return members


def judge(members: Claims, now: float, leeway: float, audience: str) -> Consumer:
    """Who calls; raises TokenError for a token that is not good now, whatever the server says of it."""
    if members["active"] is not True:
        raise TokenError(INACTIVE)
    if "refresh" in members.get("token_type", "").lower():
        raise TokenError(TYPE)  # some servers call refresh tokens active, too
    until = members.get("exp", _NEVER)
    if now >= until:
        raise TokenError(EXPIRED)
    if now < members.get("nbf", _FAR_PAST) - leeway:
        raise TokenError(NOT_YET_VALID)
    if audience and audience not in _audiences(members):
        raise TokenError(AUDIENCE)
    return _consumer(members, float(until) if until < _NEVER else float("inf"))


def _audiences(members: Claims) -> list[Any]:
    value = members.get("aud", [])
    return value if isinstance(value, list) else [value]


def _consumer(members: Claims, until: float) -> Consumer:
    client = members.get("client_id", "")
    key_type = members.get("keytype")
    consumer = Consumer(
        members.get("username", "") or members.get("sub", "") or client,
        "oauth2",
        key_type=key_type if isinstance(key_type, str) and key_type else "PRODUCTION",
        scopes=claims_of.scopes_of(members),
    )
    consumer.application = consumer.consumer_key = client
    consumer.issuer = members.get("iss", "")
    consumer.claims = {name: value for name, value in members.items() if name != "active"}
    consumer.until = until
    return consumer


def _unique(pairs: list[tuple[str, Any]]) -> Claims:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
