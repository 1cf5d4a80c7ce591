"""Certificates in headers: whatever stands there is a certificate or malformed, and never anything else."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.authority import make
from microgate.runtime.security.certificates.certificate_header import MAX_CERTIFICATES, read_header
from microgate.runtime.security.refusals import TokenError

ONE = make("one")
ENCODED = base64.b64encode(ONE.der)
ESCAPED = quote(ONE.pem.decode(), safe="").encode()


@pytest.mark.parametrize(
    ("value", "chain", "count"),
    [
        (ESCAPED, b"", 1),
        (ESCAPED * 3, b"", 3),
        (ESCAPED * 20, b"", MAX_CERTIFICATES),
        (ENCODED, b"", 1),
        (b"%b,%b" % (ENCODED, ENCODED), b"", 2),
        (b":%b:" % ENCODED, b"", 1),
        (b":%b:" % ENCODED, b":%b:, :%b:" % (ENCODED, ENCODED), 3),
    ],
)
def test_forms(value, chain, count):
    assert read_header(value, chain) == [ONE.certificate] * count


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b":",
        b"::",
        b":%b" % ENCODED,
        b":%b:x" % ENCODED,
        b":%b:;a=1" % ENCODED,
        ENCODED[:-8],
        ENCODED + b"AAAA",
        b"%b," % ENCODED,
        ESCAPED + b"x",
        b"x" + ESCAPED,
        ESCAPED[:-8],
        ESCAPED.replace(b"CERTIFICATE", b"PRIVATE%20KEY"),
        quote("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----").encode(),
    ],
)
def test_anything_else_is_malformed(value):
    with pytest.raises(TokenError) as raised:
        read_header(value, b"")
    assert raised.value.reason == "auth.mutual_tls.malformed"


@given(
    value=st.binary(max_size=300), chain=st.binary(max_size=100), place=st.integers(0, 600), put=st.binary(max_size=8)
)
def test_hostile_input_is_refused_or_read(value, chain, place, put):
    for one in (value, ESCAPED[:place] + put + ESCAPED[place:], b":" + ENCODED[:place] + put + ENCODED[place:] + b":"):
        assert _reason(one, chain) in {"", "auth.mutual_tls.malformed"}


def _reason(value, chain):
    try:
        read_header(value, chain)
    except TokenError as error:
        return error.reason
    return ""


def test_a_certificate_of_a_version_that_does_not_exist_is_malformed():
    der = make("client").der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020137"), 1)
    for value in (b":" + base64.b64encode(der) + b":", base64.b64encode(der)):
        with pytest.raises(TokenError, match=r"mutual_tls\.malformed"):
            read_header(value, b"")
