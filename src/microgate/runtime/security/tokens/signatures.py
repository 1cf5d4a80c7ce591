"""Keys that verify signatures, and the algorithms each of them may be used with (RFC 7518 §3, RFC 8037).

An algorithm is bound to one kind of key and one curve, so a token cannot talk a key into another use. There are no shared
secrets here: `HS*` and `none` do not exist. This is the one file of the room that imports `cryptography`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from microgate.runtime.security.refusals import TokenError
from microgate.runtime.security.tokens.compact import decode_base64url

RSA_BITS = range(2048, 8193)  # RFC 7518 §3.3 names the lower bound; the upper one bounds what a signature costs
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_CURVE_NAMES = {curve.name: name for name, curve in _CURVES.items()}
_EDWARDS: dict[str, Callable[[bytes], Any]] = {
    "Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
    "Ed448": ed448.Ed448PublicKey.from_public_bytes,
}

Verify = Callable[[Any, bytes, bytes], None]


class Algorithm(NamedTuple):
    """`verify(key, signature, signed)` raises InvalidSignature; `kinds` are the keys that it may be given."""

    kinds: frozenset[str]
    verify: Verify


class UnusableKeyError(Exception):
    """A key that must not or cannot verify tokens; the message says why."""


class VerificationKey(NamedTuple):
    """A public key. `algorithm` is the only one its owner allows, "" for any that fits; times are seconds since 1970."""

    key: Any
    kind: str  # "RSA" or the curve's name
    key_id: str | None = None
    algorithm: str = ""
    not_before: float = 0.0
    not_after: float = float("inf")

    def fits(self, algorithm: str) -> bool:
        return self.kind in ALGORITHMS[algorithm].kinds and self.algorithm in ("", algorithm)

    def verifies(self, algorithm: str, signature: bytes, signed: bytes) -> bool:
        """Whether the signature is good; the caller has asked `fits`."""
        try:
            ALGORITHMS[algorithm].verify(self.key, signature, signed)
        except InvalidSignature:
            return False
        return True


def _rsa(hash_type: hashes.HashAlgorithm, *, pss: bool) -> Verify:
    scheme: Any = padding.PSS(padding.MGF1(hash_type), hash_type.digest_size) if pss else padding.PKCS1v15()
    return lambda key, signature, signed: key.verify(signature, signed, scheme, hash_type)


def _ecdsa(hash_type: hashes.HashAlgorithm, size: int) -> Verify:
    scheme = ec.ECDSA(hash_type)

    def verify(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> None:
        """RFC 7518 §3.4: the two numbers side by side, each of the curve's full size."""
        if len(signature) != 2 * size:
            raise InvalidSignature
        numbers = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(*numbers), signed, scheme)

    return verify


def _algorithms() -> dict[str, Algorithm]:
    only_rsa = frozenset({"RSA"})
    table = {"EdDSA": Algorithm(frozenset(_EDWARDS), lambda key, signature, signed: key.verify(signature, signed))}
    for bits, hash_type in (("256", hashes.SHA256()), ("384", hashes.SHA384()), ("512", hashes.SHA512())):
        table[f"RS{bits}"] = Algorithm(only_rsa, _rsa(hash_type, pss=False))
        table[f"PS{bits}"] = Algorithm(only_rsa, _rsa(hash_type, pss=True))
    table["ES256"] = Algorithm(frozenset({"P-256"}), _ecdsa(hashes.SHA256(), 32))
    table["ES384"] = Algorithm(frozenset({"P-384"}), _ecdsa(hashes.SHA384(), 48))
    table["ES512"] = Algorithm(frozenset({"P-521"}), _ecdsa(hashes.SHA512(), 66))
    return table


ALGORITHMS = _algorithms()


def from_pem(data: bytes) -> VerificationKey:
    """The key of a PEM certificate (with its dates, WSO2 §6.2) or a PEM public key; raises UnusableKeyError."""
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            certificate = x509.load_pem_x509_certificate(data)
            dates = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            return _checked(certificate.public_key())._replace(not_before=dates[0], not_after=dates[1])
        return _checked(load_pem_public_key(data))
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise UnusableKeyError("it holds neither a PEM certificate nor a PEM public key") from None


def from_jwk(member: dict[str, Any]) -> VerificationKey:
    """The key of a member that `key_sets.read` has let through; raises UnusableKeyError."""
    try:
        key = _checked(_JWK_READERS[member["kty"]](member))
    except (KeyError, TypeError, ValueError, TokenError, UnsupportedAlgorithm):
        raise UnusableKeyError("its numbers make no public key") from None
    key = key._replace(key_id=member.get("kid"), algorithm=member.get("alg", ""))
    if key.algorithm and (key.algorithm not in ALGORITHMS or not key.fits(key.algorithm)):
        raise UnusableKeyError(f"its algorithm `{key.algorithm}` does not fit it")
    return key


def _checked(key: object) -> VerificationKey:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in RSA_BITS:
            raise UnusableKeyError(
                f"RSA keys must have {RSA_BITS.start} to {RSA_BITS.stop - 1} bits, it has {key.key_size}"
            )
        return VerificationKey(key, "RSA")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVE_NAMES:
        return VerificationKey(key, _CURVE_NAMES[key.curve.name])
    if isinstance(key, ed25519.Ed25519PublicKey):
        return VerificationKey(key, "Ed25519")
    if isinstance(key, ed448.Ed448PublicKey):
        return VerificationKey(key, "Ed448")
    raise UnusableKeyError("it is of a kind that no accepted algorithm uses")


def _read_rsa(member: dict[str, Any]) -> object:
    return rsa.RSAPublicNumbers(_number(member["e"]), _number(member["n"])).public_key()


def _read_ec(member: dict[str, Any]) -> object:
    return ec.EllipticCurvePublicNumbers(
        _number(member["x"]), _number(member["y"]), _CURVES[member["crv"]]
    ).public_key()


def _read_okp(member: dict[str, Any]) -> object:
    return _EDWARDS[member["crv"]](_bytes(member["x"]))


_JWK_READERS: dict[str, Callable[[dict[str, Any]], object]] = {"RSA": _read_rsa, "EC": _read_ec, "OKP": _read_okp}


def _bytes(text: str) -> bytes:
    # Some issuers pad, which RFC 7515 forbids; it makes no other key.
    return decode_base64url(text.rstrip("=").encode())


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
