"""Proofs of possession on recorded requests: times, nonces and hostile bytes; the cases of one proof each are in tests/wire."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.credentials import base64url
from harness.proofs import Holder
from microgate.runtime.exchange import Exchange
from microgate.runtime.security.certificates.dpop import LEEWAY_SECONDS, NONCE_SECONDS, Proofs
from microgate.runtime.security.certificates.replay import Replays, open_region
from microgate.runtime.security.refusals import TokenError
from microgate.settings.model import Dpop

NOW = 1_700_000_000
HOLDER = Holder()
TOKEN = "a.b.c"  # any text is a token to a proof
URL = "https://gateway.test/a"
REGION = open_region(1, lambda: NOW - 600.0)


class Desk:
    """Checks proofs at a time that the test sets."""

    def __init__(self, region=REGION, **settings):
        self.now = float(NOW)
        self.proofs = Proofs(Dpop(**settings), Replays(region, 0), region, lambda: self.now)

    def reason(self, proof):
        """Why a proof is refused, "" where it is not."""
        downstream = SimpleNamespace(peer="192.0.2.1", scheme="https", trusted=False, forwarded=b"")
        exchange = Exchange(downstream, "GET", b"/a", [b"DPoP: " + proof])
        exchange.authority = b"gateway.test"
        try:
            self.proofs.check(exchange, TOKEN.encode(), HOLDER.thumbprint)
        except TokenError as error:
            return str(error.reason).removeprefix("auth.dpop.")
        return ""


def _proof(**claims):
    return HOLDER.proof(TOKEN, URL, **{"iat": NOW, **claims}).encode()


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [(0, ""), (-60, ""), (-61, "time"), (LEEWAY_SECONDS, ""), (LEEWAY_SECONDS + 1, "time"), (1e300, "time")],
)
def test_a_proof_has_its_time(seconds, reason):
    assert Desk().reason(_proof(iat=NOW + seconds)) == reason


def test_a_proof_stays_used_as_long_as_it_would_be_taken():
    desk = Desk()
    proof = _proof(iat=NOW + LEEWAY_SECONDS)
    assert desk.reason(proof) == ""
    desk.now = NOW + LEEWAY_SECONDS + 60.0
    assert desk.reason(proof) == "replayed"
    desk.now += 1
    assert desk.reason(proof) == "time"


def test_a_nonce_is_good_for_two_periods():
    desk = Desk(require_nonce=True)
    nonce = desk.proofs.nonce().decode()
    for seconds, reason in ((0, ""), (NONCE_SECONDS, ""), (2 * NONCE_SECONDS, "nonce")):
        desk.now = float(NOW + seconds)
        assert desk.reason(_proof(iat=NOW + seconds, nonce=nonce)) == reason
    assert desk.reason(_proof(iat=desk.now, nonce="é")) == "nonce"


def test_a_proof_that_may_have_been_used_before_the_start_needs_a_nonce_of_this_run():
    before, started = open_region(1, lambda: NOW - 600.0), open_region(1, lambda: float(NOW))
    desk = Desk(started)
    other_run, this_run = Desk(before).proofs.nonce().decode(), desk.proofs.nonce().decode()
    desk.now = NOW + 1.0
    for seconds in (-30, 0, 1, LEEWAY_SECONDS - 1):
        assert desk.reason(_proof(iat=NOW + seconds)) == "nonce"
        assert desk.reason(_proof(iat=NOW + seconds, nonce=other_run)) == "nonce"
        assert desk.reason(_proof(iat=NOW + seconds, nonce=this_run)) == ""
    # Nobody can have used it before: it would have been refused as of the future.
    assert desk.reason(_proof(iat=NOW + LEEWAY_SECONDS)) == ""
    assert Desk(started, nonce_after_start=False).reason(_proof(iat=NOW - 30)) == ""


def _part(data):
    return base64url(data).encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["typ", "alg", "jwk", "crit", "kid", "jti", "htm", "htu", "iat", "ath", "nonce", "kty", "crv", "x"]
)


@given(header=st.dictionaries(NAMES, JSON), claims=st.dictionaries(NAMES, JSON), key=st.dictionaries(NAMES, JSON))
def test_whatever_a_proof_says_it_is_refused_for_a_reason(header, claims, key):
    full = {"typ": "dpop+jwt", "alg": "ES256", "jwk": {**HOLDER.jwk, **key}, **header}
    said = {"jti": "a", "htm": "GET", "htu": URL, "iat": NOW, "ath": "x", **claims}
    parts = [json.dumps(part).encode() for part in (full, said)]
    assert Desk().reason(b".".join([*map(_part, parts), _part(b"x" * 64)])) != ""


@given(st.lists(st.binary(max_size=60), max_size=4), st.binary(max_size=80))
def test_hostile_bytes_are_refused_for_a_reason(parts, raw):
    for proof in (b".".join(map(_part, parts)), raw.replace(b"\n", b"").replace(b"\r", b"")):
        assert Desk().reason(proof) in {"malformed", "algorithm", "key"}
