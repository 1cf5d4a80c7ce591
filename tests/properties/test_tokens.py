"""Tokens that nobody would think of: changed bytes, arbitrary values, and arbitrary JSON under a good signature.

Whatever comes is refused with 401, or is a token that a plain reading of the rules accepts; nothing ever raises.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.minting import ISSUER, NOW, Clock, Gate, Signer, as_json, good_claims, key_set, settings_of
from microgate.runtime.security.context import SecurityContext
from microgate.runtime.security.tokens.key_sets import KeySetError, read
from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_jwk
from microgate.settings.model import JwtIssuer

NAMES = ("RS256", "PS256", "ES256", "ES512", "EdDSA")
SIGNERS = {name: Signer(name, name) for name in NAMES}
TOKENS = {name: signer.token() for name, signer in SIGNERS.items()}
LEEWAY = 30


@pytest.fixture(scope="module")
def gate() -> Gate:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.write_bytes(key_set(*(signer.jwk() for signer in SIGNERS.values())))
        context = SecurityContext(settings_of(JwtIssuer(issuer=ISSUER, jwks_file=str(file))), None, clock=Clock())
    made = Gate(context)
    for token in TOKENS.values():
        assert made.reason(token) == ""
    return made


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 1_000), st.binary(min_size=1, max_size=1)),
        st.tuples(st.just("insert"), st.integers(0, 1_000), st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("insert"), st.integers(0, 1_000), st.sampled_from([b".", b"=", b"A", b" ", b"\0"])),
        st.tuples(st.just("drop"), st.integers(0, 1_000), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(NAMES), edits=EDITS)
def test_no_edited_token_is_accepted(gate, name, edits) -> None:
    token = TOKENS[name]
    for kind, position, what in edits:
        at = position % (len(token) + 1)
        if kind == "set":
            token = token[:at] + what + token[at + 1 :]
        elif kind == "insert":
            token = token[:at] + what + token[at:]
        else:
            token = token[:at] + token[at + what :]
    # Blanks round a token are the header's, not the token's.
    if token.strip(b" ") != TOKENS[name]:
        fault = gate.judge(b"Bearer " + token).fault
        assert fault is not None
        assert fault.kind.status == 401


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda data: b"Bearer " + data)))
def test_arbitrary_values_are_refused(gate, value) -> None:
    fault = gate.judge(value).fault
    assert fault is not None
    assert fault.kind.status == 401


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([ISSUER, "read", "", "PRODUCTION", NOW, NOW - 30, NOW + 30, NOW - 29.5]),
    st.text(max_size=10),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)
CLAIM_NAMES = st.sampled_from(
    ["iss", "sub", "aud", "exp", "nbf", "iat", "scope", "scp", "keytype", "client_id", "azp", "application", "x"]
)


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_date(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.fabs(value) < 1 << 53


def acceptable(claims: dict[str, object]) -> bool:
    """The rules, read plainly and without the code under test."""
    audience = claims.get("aud", [])
    texts = all(is_text(claims.get(name, "")) for name in ("sub", "keytype"))
    if not claims.get("sub"):
        texts = texts and is_text(claims.get("client_id", ""))
        texts = texts and (bool(claims.get("client_id")) or is_text(claims.get("azp", "")))
    dates = all(is_date(claims[name]) for name in ("exp", "nbf", "iat") if name in claims)
    return (
        claims.get("iss") == ISSUER
        and texts
        and dates
        and (is_text(audience) or (isinstance(audience, list) and all(map(is_text, audience))))
        and claims.get("exp", NOW) > NOW - LEEWAY
        and claims.get("nbf", 0) <= NOW + LEEWAY
        and claims.get("iat", 0) <= NOW + LEEWAY
    )


@settings(max_examples=500, deadline=None)
@given(changes=st.dictionaries(CLAIM_NAMES, VALUES, max_size=4))
def test_arbitrary_claims_are_judged_as_the_rules_say(gate, changes) -> None:
    claims = good_claims() | changes
    reason = gate.reason(SIGNERS["EdDSA"].token(claims))
    assert (reason == "") == acceptable(claims), reason


@settings(max_examples=300, deadline=None)
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "cty"]), VALUES, max_size=3))
def test_arbitrary_headers_never_change_the_algorithm(gate, header) -> None:
    members = {"alg": "EdDSA", "kid": "EdDSA"} | header
    token = SIGNERS["EdDSA"].seal(as_json(members), as_json(good_claims()))
    if gate.reason(token) == "":
        assert members["alg"] == "EdDSA"
        assert members["kid"] in ("EdDSA", None)
        assert "crit" not in members
        assert "b64" not in members


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=100),
        VALUES.map(as_json),
        st.lists(
            st.dictionaries(
                st.sampled_from(["kty", "kid", "alg", "crv", "n", "e", "x", "y", "use", "key_ops"]),
                st.one_of(VALUES, st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB"])),
            ),
            max_size=3,
        ).map(lambda keys: as_json({"keys": keys})),
    )
)
def test_arbitrary_key_sets_are_refused_or_give_keys(document) -> None:
    try:
        members = read(document)
    except KeySetError:
        return
    for member in members:
        try:
            assert from_jwk(member).key is not None
        except UnusableKeyError:
            continue
