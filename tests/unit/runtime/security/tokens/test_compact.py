"""The strict reading of tokens: what is let through, and each way of being malformed."""

from __future__ import annotations

import pytest

from harness.minting import as_json, b64, good_claims
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError
from microgate.runtime.security.tokens.compact import MAX_TOKEN_BYTES, decode_base64url, parse

HEADER = {"alg": "RS256", "typ": "JWT", "kid": "1"}


def token_of(header: object = None, payload: object = None, signature: bytes = b"signature") -> bytes:
    parts = []
    for value, default in ((header, HEADER), (payload, good_claims())):
        chosen = default if value is None else value
        parts.append(b64(chosen if isinstance(chosen, bytes) else as_json(chosen)))
    return b".".join([*parts, b64(signature)])


def reason(token: bytes) -> str:
    with pytest.raises(TokenError) as caught:
        parse(token)
    return caught.value.reason


def test_a_good_token_is_read() -> None:
    token = token_of()
    read = parse(token)
    assert read.header == ("RS256", "1", "jwt")
    assert read.claims == good_claims()
    assert read.signature == b"signature"
    assert read.signed == token[: token.rindex(b".")]


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"])
def test_types_of_access_tokens_are_accepted(kind) -> None:
    header = {"alg": "RS256"} | ({} if kind is None else {"typ": kind})
    assert parse(token_of(header)).header == ("RS256", None, (kind or "jwt").lower())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": "RS256", "crit": ["exp"]}, refusals.CRITICAL),
        ({"alg": "RS256", "crit": []}, refusals.CRITICAL),
        ({"alg": "RS256", "b64": False}, refusals.CRITICAL),
        ({"alg": "RS256", "b64": True}, refusals.CRITICAL),
        ({"alg": "RS256", "typ": "JOSE"}, refusals.TYPE),
        ({"alg": "RS256", "typ": "logout+jwt"}, refusals.TYPE),
        ({"alg": "RS256", "typ": 1}, refusals.TYPE),
        ({"alg": "RS256", "typ": None}, refusals.TYPE),
        ({"alg": 1}, refusals.MALFORMED),
        ({"alg": None}, refusals.MALFORMED),
        ({}, refusals.MALFORMED),
        ({"alg": "RS256", "kid": 1}, refusals.MALFORMED),
        ({"alg": "RS256", "kid": ["a"]}, refusals.MALFORMED),
        ([], refusals.MALFORMED),
        ("RS256", refusals.MALFORMED),
        (b"null", refusals.MALFORMED),
        (b'{"alg":"RS256","alg":"none"}', refusals.MALFORMED),
        (b'{"alg":"RS256"}{}', refusals.MALFORMED),
        (b'{"alg":"RS256",}', refusals.MALFORMED),
        (b"{'alg':'RS256'}", refusals.MALFORMED),
        (b'\xef\xbb\xbf{"alg":"RS256"}', refusals.MALFORMED),
        ('{"alg":"RS256"}'.encode("utf-16"), refusals.MALFORMED),
        (b'{"alg":"RS256","x":"\xff"}', refusals.MALFORMED),
        (b'{"alg":"RS256","kid":"\\ud800"}', refusals.MALFORMED),
        (b'{"alg":"RS256","x":NaN}', refusals.MALFORMED),
    ],
)
def test_bad_headers_are_refused(header, expected) -> None:
    assert reason(token_of(header)) == expected


@pytest.mark.parametrize(
    "payload",
    [
        [],
        "claims",
        b"",
        b"{",
        b"{}x",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"sub":"\\udc00"}',
        b'{"sub":"\\ud800\\ud800"}',
        b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"a":' * 1_500 + b"1" + b"}" * 1_500,
        b'{"exp":' + b"9" * 5_000 + b"}",
        b'{"a":"\n"}',
    ],
)
def test_bad_payloads_are_refused(payload) -> None:
    assert reason(token_of(None, payload)) == refusals.MALFORMED


def test_a_whole_surrogate_pair_is_text() -> None:
    assert parse(token_of(None, b'{"sub":"\\ud83d\\ude00"}')).claims["sub"] == "\N{GRINNING FACE}"


@pytest.mark.parametrize("token", [b"", b".", b"..", b"...", b"a.b", b"a.b.c.d", b"a.b.c.d.e"])
def test_other_than_three_parts_are_refused(token) -> None:
    assert reason(token) == refusals.MALFORMED


@pytest.mark.parametrize(
    "text",
    [b"", b"A", b"AAAAA", b"AA==", b"AAA=", b"AB", b"AAB", b"A+A", b"A/A", b"A A", b"AA\n", b"AA\x00A", b"AA\xc3\xa4"],
)
def test_base64url_has_one_spelling(text) -> None:
    with pytest.raises(TokenError):
        decode_base64url(text)


@pytest.mark.parametrize("length", range(1, 70))
def test_base64url_round_trips(length) -> None:
    data = bytes((length * 37 + position * 101) % 256 for position in range(length))
    assert decode_base64url(b64(data)) == data


def test_size_is_bounded_before_anything_is_decoded() -> None:
    assert reason(b"x" * (MAX_TOKEN_BYTES + 1)) == refusals.SIZE
    assert reason(b"x" * 1_000_000) == refusals.SIZE
    assert reason(token_of({"alg": "RS256", "x5c": ["A" * 5_000]})) == refusals.SIZE
    assert parse(token_of(None, good_claims(more="x" * 10_000))).claims["sub"] == "alice"
