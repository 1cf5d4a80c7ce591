"""R9: every good signature is accepted, no bad one is, for every algorithm; and which keys may do what."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from harness.credentials import self_signed
from harness.minting import ALGORITHMS, CURVES, Signer, b64, number, rsa_key
from microgate.runtime.security.tokens.signatures import ALGORITHMS as ACCEPTED
from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_jwk, from_pem

SIGNED = b"header.payload"
PKCS = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_r9_good_signatures_are_accepted_and_changed_ones_are_not(name, form, signers) -> None:
    signer = signers[name]
    key = from_pem(signer.pem) if form == "pem" else from_jwk(signer.jwk())
    algorithm = signer.algorithm
    assert key.fits(algorithm)
    signature = signer.raw_signature(SIGNED)
    assert key.verifies(algorithm, signature, SIGNED)
    assert not key.verifies(algorithm, signature, SIGNED + b"x")
    assert not key.verifies(algorithm, b"", SIGNED)
    assert not key.verifies(algorithm, signature + b"\0", SIGNED)
    assert not key.verifies(algorithm, signature[:-1], SIGNED)
    assert not key.verifies(algorithm, bytes(len(signature)), SIGNED)
    assert not key.verifies(algorithm, b"\xff" * len(signature), SIGNED)
    for position in range(0, len(signature), 7):
        changed = bytearray(signature)
        changed[position] ^= 1
        assert not key.verifies(algorithm, bytes(changed), SIGNED)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_r9_another_key_of_the_same_kind_does_not_verify(name, signers) -> None:
    other = Signer(name, serial=1)
    assert not from_pem(other.pem).verifies(other.algorithm, signers[name].raw_signature(SIGNED), SIGNED)


def test_an_algorithm_fits_one_kind_of_key_and_one_curve(signers) -> None:
    fitting = {
        name: {algorithm for algorithm in ACCEPTED if from_pem(signers[name].pem).fits(algorithm)} for name in signers
    }
    every_rsa = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    for name, algorithms in fitting.items():
        assert algorithms == (every_rsa if name[:2] in ("RS", "PS") else {signers[name].algorithm})


def test_there_is_no_algorithm_without_a_public_key() -> None:
    assert set(ACCEPTED) == {name.removesuffix("-448") for name in ALGORITHMS}


def test_an_rsa_signature_is_good_for_its_own_algorithm_alone(signers) -> None:
    key = from_pem(signers["RS256"].pem)
    signature = signers["RS256"].raw_signature(SIGNED)
    assert [name for name in ACCEPTED if key.fits(name) and key.verifies(name, signature, SIGNED)] == ["RS256"]


def test_der_signatures_are_refused(signers) -> None:
    signer = signers["ES256"]
    raw = signer.raw_signature(SIGNED)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    assert not from_pem(signer.pem).verifies("ES256", der, SIGNED)


def test_a_pss_signature_with_another_salt_is_refused(signers) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding

    short = padding.PSS(padding.MGF1(hashes.SHA256()), 8)
    signature = signers["PS256"].private.sign(SIGNED, short, hashes.SHA256())
    assert not from_pem(signers["PS256"].pem).verifies("PS256", signature, SIGNED)


def test_a_declared_algorithm_is_the_only_one(signers) -> None:
    key = from_jwk(signers["RS256"].jwk(alg="RS512"))
    assert key.fits("RS512")
    assert not key.fits("RS256")
    assert from_jwk(signers["RS256"].jwk(alg=None)).fits("PS384")


def refused(member: dict[str, object]) -> str:
    with pytest.raises(UnusableKeyError) as caught:
        from_jwk(member)
    return str(caught.value)


def test_weak_and_broken_members_are_refused(signers) -> None:
    weak = rsa_key(1024).public_key().public_numbers()
    assert "1024" in refused({"kty": "RSA", "n": number(weak.n), "e": number(weak.e)})
    rsa_member, ec_member, ed_member = (signers[name].jwk() for name in ("RS256", "ES256", "EdDSA"))
    numbers = "its numbers make no public key"
    for member in (
        rsa_member | {"n": "!"},
        rsa_member | {"e": "AA"},
        rsa_member | {"e": "Ag"},
        {"kty": "RSA"},
        ec_member | {"x": ec_member["y"]},
        ec_member | {"crv": "P-192"},
        ec_member | {"crv": "secp256k1"},
        ed_member | {"x": b64(b"short").decode()},
        ed_member | {"crv": "X25519"},
    ):
        assert refused(member) == numbers
    assert refused(ec_member | {"alg": "ES384"}) == "its algorithm `ES384` does not fit it"
    assert refused(rsa_member | {"alg": "HS256"}) == "its algorithm `HS256` does not fit it"


def certificate(signer: Signer, start: dt.datetime, days: int) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    builder = x509.CertificateBuilder(name, name, signer.private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=days))
    return builder.sign(signer.private, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_certificate_brings_its_dates(signers) -> None:
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    key = from_pem(certificate(signers["RS256"], start, 10))
    assert key.not_before == start.timestamp()
    assert key.not_after == start.timestamp() + 10 * 86_400
    assert key.verifies("RS256", signers["RS256"].raw_signature(SIGNED), SIGNED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PUBLIC KEY-----\n",
        dsa.generate_private_key(1024).public_key().public_bytes(*PKCS),
        x25519.X25519PrivateKey.generate().public_key().public_bytes(*PKCS),
        ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(*PKCS),
        rsa_key(1024).public_key().public_bytes(*PKCS),
    ],
)
def test_files_without_a_usable_key_are_refused(data) -> None:
    with pytest.raises(UnusableKeyError):
        from_pem(data)


def test_curves_cover_the_algorithms() -> None:
    assert set(CURVES) <= set(ACCEPTED)


def test_a_certificate_of_a_version_that_does_not_exist_has_no_key() -> None:
    certificate = x509.load_pem_x509_certificate(self_signed(rsa_key(), "issuer.test"))
    der = certificate.public_bytes(Encoding.DER).replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020137"), 1)
    armour = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
    with pytest.raises(UnusableKeyError, match="neither a PEM certificate"):
        from_pem(base64.encodebytes(der).join(armour))
