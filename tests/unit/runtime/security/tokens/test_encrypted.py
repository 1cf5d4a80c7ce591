"""Tokens that were encrypted for the gateway: sealed here by hand, opened, and broken in every part."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.minting import ISSUER, Clock, Gate, Signer, as_json, key_set, rsa_key, settings_of
from harness.sealing import CURVES, SIZES, Sealer, private_pem
from microgate.errors import KeyMaterialError
from microgate.runtime.security import refusals
from microgate.runtime.security.context import SecurityContext
from microgate.runtime.security.tokens.encrypted import ENCRYPTION, Decrypter
from microgate.settings.model import EncryptedTokens, JwtIssuer

if TYPE_CHECKING:
    from pathlib import Path

SIGNER = Signer("ES256")
EC_KEYS = {name: ec.generate_private_key(curve) for name, (curve, _) in CURVES.items()}
OTHER_RSA = rsa_key(serial=7)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "keys.json").write_bytes(key_set(SIGNER.jwk()))
    files = []
    for position, key in enumerate((rsa_key(), *EC_KEYS.values())):
        file = folder / f"{position}.pem"
        file.write_bytes(private_pem(key))
        files.append(str(file))
    issuer = JwtIssuer(issuer=ISSUER, jwks_file=str(folder / "keys.json"))
    settings = settings_of(issuer, encrypted_tokens=EncryptedTokens(private_key_files=tuple(files)))
    return Gate(SecurityContext(settings, None, clock=Clock()))


@pytest.mark.parametrize("encryption", SIZES)
@pytest.mark.parametrize("key", [rsa_key(), *EC_KEYS.values()], ids=["RSA", *EC_KEYS])
def test_every_kind_is_opened(gate: Gate, key: Any, encryption: str) -> None:
    assert gate.reason(Sealer(key, encryption).token(SIGNER.token())) == ""


def test_what_is_inside_is_judged_as_ever(gate: Gate) -> None:
    sealer = Sealer(EC_KEYS["P-256"])
    assert gate.reason(sealer.token(Signer("ES256").token())) == refusals.SIGNATURE
    assert gate.reason(sealer.token(SIGNER.seal(b'{"alg":"none"}', b"{}"))) == refusals.ALGORITHM
    assert gate.reason(sealer.token(as_json({"iss": ISSUER}))) == refusals.MALFORMED
    assert gate.reason(sealer.token(sealer.token(SIGNER.token()))) == refusals.MALFORMED, "once is enough"
    assert gate.reason(sealer.token(zlib.compress(SIGNER.token()))) == refusals.MALFORMED


def test_a_token_for_somebody_else(gate: Gate) -> None:
    assert gate.reason(Sealer(OTHER_RSA).token(SIGNER.token())) == ENCRYPTION
    assert gate.reason(Sealer(ec.generate_private_key(ec.SECP256R1())).token(SIGNER.token())) == ENCRYPTION


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"zip": "DEF"}, refusals.CRITICAL),
        ({"crit": ["exp"]}, refusals.CRITICAL),
        ({"alg": "RSA1_5"}, refusals.ALGORITHM),
        ({"alg": "RSA-OAEP"}, refusals.ALGORITHM),
        ({"alg": "dir"}, refusals.ALGORITHM),
        ({"alg": "PBES2-HS256+A128KW", "p2c": 2**31}, refusals.ALGORITHM),
        ({"alg": "ECDH-ES"}, refusals.MALFORMED),
        ({"enc": "A128CBC-HS256"}, refusals.ALGORITHM),
        ({"enc": "A128GCM"}, ENCRYPTION),
        ({"enc": None}, refusals.MALFORMED),
        ({"enc": ["A256GCM"]}, refusals.MALFORMED),
        ({"cty": "text/plain"}, refusals.TYPE),
        ({"cty": 1}, refusals.MALFORMED),
        ({"cty": None}, ""),
    ],
)
def test_what_a_header_must_not_say(gate: Gate, header: dict[str, Any], reason: str) -> None:
    assert gate.reason(Sealer(rsa_key()).token(SIGNER.token(), **header)) == reason


@pytest.mark.parametrize(
    "epk",
    [
        None,
        "x",
        {},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "EC", "crv": "P-256", "x": 1, "y": 2},
        {"kty": "EC", "crv": ["P-256"], "x": "AQ", "y": "AQ"},
        {"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"},
        {"kty": "OKP", "crv": "X25519", "x": "AQ"},
        {"kty": "RSA", "n": "AQ", "e": "AQ"},
    ],
)
def test_a_senders_key_is_a_point_of_its_curve(gate: Gate, epk: Any) -> None:
    assert gate.reason(Sealer(EC_KEYS["P-256"]).token(SIGNER.token(), epk=epk)) == refusals.MALFORMED


def test_r10_no_broken_part_is_opened(gate: Gate) -> None:
    for key in (rsa_key(), EC_KEYS["P-256"]):
        parts = Sealer(key).seal(SIGNER.token())
        for place in range(5):
            for value in (b"", b"A", b"AA", b"AAAA", b"=", parts[place] + b"AAAA", parts[place][:-4], b"A" * 30_000):
                if value == parts[place]:
                    continue
                broken = [*parts[:place], value, *parts[place + 1 :]]
                assert gate.reason(b".".join(broken)).startswith("auth."), (place, value[:20])
            flipped = bytearray(parts[place])
            if flipped:
                flipped[0] = ord("B") if flipped[0] != ord("B") else ord("C")
                assert gate.reason(b".".join([*parts[:place], bytes(flipped), *parts[place + 1 :]])) != ""


def test_without_a_key_no_encrypted_token_is_taken(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(key_set(SIGNER.jwk()))
    issuer = JwtIssuer(issuer=ISSUER, jwks_file=str(tmp_path / "keys.json"))
    gate = Gate(SecurityContext(settings_of(issuer), None, clock=Clock()))
    assert gate.reason(Sealer(rsa_key()).token(SIGNER.token())) == refusals.MALFORMED


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no key",
        SIGNER.pem,
        private_pem(Signer("EdDSA").private),
        private_pem(ec.generate_private_key(ec.SECP256K1())),
        private_pem(rsa_key(1024)),
    ],
)
def test_keys_that_cannot_be_used_stop_the_start(pem: bytes) -> None:
    with pytest.raises(KeyMaterialError):
        Decrypter([("key.pem", pem)])


@pytest.mark.parametrize("key", [EC_KEYS["P-256"], rsa_key()])
def test_a_bound_on_keys_of_one_kind(key: Any) -> None:
    Decrypter([("key.pem", private_pem(key))] * 2)
    with pytest.raises(KeyMaterialError, match="more than 2"):
        Decrypter([("key.pem", private_pem(key))] * 3)


def test_the_key_before_still_opens() -> None:
    old, new = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    decrypter = Decrypter([("new.pem", private_pem(new)), ("old.pem", private_pem(old))])
    assert [decrypter.open(Sealer(key).token(b"inside")) for key in (old, new)] == [b"inside"] * 2
