"""By what a credential is known to be revoked, and what sources may say of it."""

from __future__ import annotations

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from harness.credentials import base64url
from microgate.runtime.exchange import Consumer
from microgate.runtime.security.revocation import marks
from microgate.runtime.security.revocation.entries import Terms, read
from microgate.runtime.security.revocation.feeds.amqp import read_message
from microgate.runtime.security.revocation.feeds.file import Lines
from microgate.runtime.security.revocation.table import FOREVER
from microgate.settings.backend import Server
from microgate.settings.model import Settings

NOW = 1_800_000_000
TERMS = Terms(leeway=35, least=900)


def _consumer(**claims):
    consumer = Consumer(claims.get("sub", ""), "jwt")
    consumer.claims = claims
    return consumer


@pytest.mark.parametrize(
    ("said", "claims", "credential"),
    [
        ("aa.bb.cc", {}, b"aa.bb.cc"),
        ("cc", {}, b"aa.bb.cc"),
        ("opaque", {}, b"opaque"),
        (" opaque\n", {}, b"opaque"),
        ("x.y", {}, b"x.y"),
        ({"token": "aa.bb.cc"}, {}, b"aa.bb.cc"),
        ({"signature": "cc"}, {}, b"aa.bb.cc"),
        ({"jti": "7"}, {"jti": "7"}, b""),
        ({"jti": "7"}, {"jti": 7}, b""),
        ({"jti": "7", "issuer": "i"}, {"jti": "7", "iss": "i"}, b""),
        ({"key": "k1"}, {"jti": "k1"}, b"a.b.c"),
        ({"consumer": "shop"}, {"azp": "shop"}, b""),
        ({"consumer": "shop"}, {"client_id": "shop"}, b""),
        ({"subject": "ann"}, {"sub": "ann"}, b""),
        ({"subject": "ann", "issuer": "i"}, {"sub": "ann", "iss": "i"}, b""),
    ],
)
def test_what_a_source_names_is_who_calls(said, claims, credential):
    assert read(said, NOW, TERMS).key in marks.of(_consumer(**claims), credential)


@pytest.mark.parametrize(
    ("said", "claims", "credential"),
    [
        ({"jti": "7", "issuer": "other"}, {"jti": "7", "iss": "i"}, b"a.b.c"),
        ({"subject": "ann", "issuer": "other"}, {"sub": "ann", "iss": "i"}, b"a.b.c"),
        ({"consumer": "ann"}, {"sub": "ann"}, b"a.b.c"),
        ({"subject": "7"}, {"jti": "7"}, b"a.b.c"),
        ("ann", {"sub": "ann", "azp": "ann"}, b"a.b.c"),
        ("a.b", {}, b"a.b.c"),
    ],
)
def test_nobody_is_taken_for_another(said, claims, credential):
    assert read(said, NOW, TERMS).key not in marks.of(_consumer(**claims), credential)


@pytest.mark.parametrize(
    ("curve", "hash_type", "size"),
    [
        (ec.SECP256R1(), hashes.SHA256(), 32),
        (ec.SECP384R1(), hashes.SHA384(), 48),
        (ec.SECP521R1(), hashes.SHA512(), 66),
    ],
)
def test_weakness_04_a_mirrored_signature_does_not_escape(curve, hash_type, size):
    """Who holds an ECDSA signature can make the other one of the pair; both are good, so both must be refused."""
    key = ec.generate_private_key(curve)
    r, s = decode_dss_signature(key.sign(b"head.body", ec.ECDSA(hash_type)))
    token = b"head.body." + base64url(r.to_bytes(size, "big") + s.to_bytes(size, "big")).encode()
    mirrored = marks._mirrored(token)
    raw = base64.urlsafe_b64decode(mirrored + b"=" * (-len(mirrored) % 4))
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    other = encode_dss_signature(int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big"))
    key.public_key().verify(other, b"head.body", ec.ECDSA(hash_type))
    assert read(token.decode(), NOW, TERMS).key in marks.of(_consumer(), b"head.body." + mirrored)


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ({"jti": "x"}, FOREVER),
        ({"jti": "x", "expires": NOW + 10}, NOW + 45),
        ({"jti": "x", "expires": 1000 * (NOW + 10)}, NOW + 45),
        ({"jti": "x", "expires": str(NOW + 10)}, NOW + 45),
        ({"jti": "x", "expires": float(NOW + 10)}, NOW + 45),
        ({"jti": "x", "expires": NOW - 20}, NOW + 15),
        ({"jti": "x", "expires": 0}, FOREVER),
        ({"jti": "x", "expires": -1}, FOREVER),
        ({"revokedToken": "x", "ttl": "3600"}, NOW + 3_635),
        ({"revokedToken": "x", "ttl": "1"}, NOW + 935),
        ({"revokedToken": "x", "ttl": None}, FOREVER),
        ({"jwt_signature": "x", "expiry_time": 1000 * (NOW + 10)}, NOW + 45),
    ],
)
def test_when_an_entry_leaves(said, until):
    assert read(said, NOW, TERMS).until == until


def test_an_entry_whose_time_is_over_is_none():
    assert read({"jti": "x", "expires": NOW - 35}, NOW, TERMS) is None


def test_the_leeway_is_that_of_tokens():
    settings = msgspec.structs.replace(Settings(), server=Server(timestamp_skew=61_500))
    assert Terms.of(settings).leeway == 62 + 5
    assert Terms.of(Settings()).leeway == 30 + 5


@pytest.mark.parametrize(
    "said",
    [
        *("", " ", "x" * 70_000, None, 5, [], {}, True),
        *({"jti": ""}, {"jti": 5}, {"jti": None}, {"jti": "a", "sub": "b"}, {"jti": "a", "token": "b"}),
        *({"jti": "a", "expires": "soon"}, {"jti": "a", "expires": True}, {"jti": "a", "expires": float("nan")}),
        *({"jti": "a", "expires": float("inf")}, {"jti": "a", "expires": "9" * 30}, {"jti": "a", "issuer": 5}),
        *({"jti": "a", "issuedBefore": "x"}, {"expires": 1}, {"jti": "x" * 70_000}, {"consumer": []}),
    ],
)
def test_what_is_no_entry_is_refused(said):
    with pytest.raises(ValueError, match=r"an entry|a revoked value|a time|is a text"):
        read(said, NOW, TERMS)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    _values | st.dictionaries(st.sampled_from(["jti", "token", "expires", "ttl", "issuedBefore", "issuer"]), _values)
)
def test_any_value_is_an_entry_or_refused(said):
    try:
        entry = read(said, NOW, TERMS)
    except ValueError:
        return
    assert entry is None or (len(entry.key) == 16 and NOW < entry.until <= FOREVER and 0 <= entry.before <= FOREVER)


@given(st.binary(max_size=300), st.dictionaries(st.text(max_size=20), _values, max_size=3))
def test_any_message_and_any_line_can_be_read(body, headers):
    for said in [*read_message(body, headers), *read_message(b"\0\0\0\1a\0" + body, {}), *Lines(body.splitlines())]:
        try:
            read(said, NOW, TERMS)
        except ValueError:
            continue
