"""Encrypted tokens that nobody would think of: whatever is changed, they are refused with 401, and nothing ever raises."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.minting import ISSUER, Clock, Gate, Signer, as_json, b64, key_set, rsa_key, settings_of
from harness.sealing import Sealer, private_pem
from microgate.runtime.security.context import SecurityContext
from microgate.settings.model import EncryptedTokens, JwtIssuer

SIGNER = Signer("ES256")
KEYS = {"RSA": rsa_key(), "EC": ec.generate_private_key(ec.SECP256R1())}
PARTS = {name: Sealer(key).seal(SIGNER.token()) for name, key in KEYS.items()}


@pytest.fixture(scope="module")
def gate() -> Gate:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys.json").write_bytes(key_set(SIGNER.jwk()))
        files = []
        for kind, key in KEYS.items():
            (folder / kind).write_bytes(private_pem(key))
            files.append(str(folder / kind))
        settings = settings_of(
            JwtIssuer(issuer=ISSUER, jwks_file=str(folder / "keys.json")),
            encrypted_tokens=EncryptedTokens(private_key_files=tuple(files)),
        )
        context = SecurityContext(settings, None, clock=Clock())
    made = Gate(context)
    for parts in PARTS.values():
        assert made.reason(b".".join(parts)) == ""
    return made


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(sorted(KEYS)),
    place=st.integers(0, 4),
    part=st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(b64)),
)
def test_no_token_with_another_part_is_opened(gate, kind, place, part) -> None:
    parts = [*PARTS[kind][:place], part, *PARTS[kind][place + 1 :]]
    if parts != PARTS[kind] and not (part.count(b".") or part.strip(b" ") != part):
        fault = gate.judge(b"Bearer " + b".".join(parts)).fault
        assert fault is not None
        assert fault.kind.status == 401


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(["RSA-OAEP-256", "ECDH-ES", "A128GCM", "A256GCM", "P-256", "EC", "JWT", "AQ", "DEF"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d"]), inner, max_size=4),
    ),
)
NAMES = st.sampled_from(["alg", "enc", "zip", "crit", "cty", "epk", "apu", "apv", "kid", "p2c", "iv", "tag"])


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(sorted(KEYS)), header=st.dictionaries(NAMES, VALUES, max_size=4))
def test_arbitrary_headers_are_refused(gate, kind, header) -> None:
    """The header is authenticated, so any that was put in afterwards is wrong."""
    head = b64(as_json({"alg": "RSA-OAEP-256" if kind == "RSA" else "ECDH-ES", "enc": "A256GCM"} | header))
    fault = gate.judge(b"Bearer " + b".".join([head, *PARTS[kind][1:]])).fault
    assert fault is not None
    assert fault.kind.status == 401
