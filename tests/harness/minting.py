"""Tokens for tests: key pairs of every algorithm, signing by hand, and an operation that judges what was minted.

Signing is done here, byte by byte and without the code under test, so that a broken token is broken only where it says.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from microgate.plan.model import Api, Operation, Security
from microgate.runtime.exchange import Exchange
from microgate.runtime.faults import Fault
from microgate.runtime.security import authenticate, authorise
from microgate.settings.model import JwtIssuer, Settings

if TYPE_CHECKING:
    from microgate.runtime.security.context import SecurityContext

NOW = 1_800_000_000
ISSUER = "https://issuer.example.com"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", 32),
    "ES384": (ec.SECP384R1(), "P-384", 48),
    "ES512": (ec.SECP521R1(), "P-521", 66),
}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "EdDSA-448")


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def number(value: int, size: int = 0) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


@functools.cache
def rsa_key(bits: int = 2048, serial: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class Signer:
    """A key pair and the algorithm it signs with; `EdDSA-448` is EdDSA on the larger curve."""

    def __init__(self, algorithm: str = "RS256", key_id: str | None = "key-1", serial: int = 0) -> None:
        self.algorithm = algorithm.removesuffix("-448")
        self.key_id = key_id
        if algorithm in CURVES:
            self.private: Any = ec.generate_private_key(CURVES[algorithm][0])
        elif algorithm.startswith("EdDSA"):
            maker: Any = ed448.Ed448PrivateKey if algorithm.endswith("448") else ed25519.Ed25519PrivateKey
            self.private = maker.generate()
        else:
            self.private = rsa_key(serial=serial)

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, **more: Any) -> dict[str, Any]:
        """The public key as a member of a key set; a value of None takes a member out."""
        public = self.private.public_key()
        member: dict[str, Any] = {"kid": self.key_id, "use": "sig", "alg": self.algorithm}
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            member.update(kty="RSA", n=number(numbers.n), e=number(numbers.e))
        elif isinstance(public, ec.EllipticCurvePublicKey):
            point, (_, name, size) = public.public_numbers(), CURVES[self.algorithm]
            member.update(kty="EC", crv=name, x=number(point.x, size), y=number(point.y, size))
        else:
            name = "Ed25519" if isinstance(public, ed25519.Ed25519PublicKey) else "Ed448"
            member.update(kty="OKP", crv=name, x=b64(public.public_bytes_raw()).decode())
        member.update(more)
        return {key: value for key, value in member.items() if value is not None}

    def raw_signature(self, signed: bytes) -> bytes:
        if self.algorithm in CURVES:
            size = CURVES[self.algorithm][2]
            r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(HASHES[self.algorithm[2:]])))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.algorithm == "EdDSA":
            return bytes(self.private.sign(signed))
        chosen = HASHES[self.algorithm[2:]]
        pss = padding.PSS(padding.MGF1(chosen), chosen.digest_size)
        return bytes(self.private.sign(signed, pss if self.algorithm.startswith("PS") else padding.PKCS1v15(), chosen))

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """A token of these bytes, whatever they are, with a good signature."""
        signed = b64(header) + b"." + b64(payload)
        return signed + b"." + b64(self.raw_signature(signed))

    def token(self, claims: dict[str, Any] | None = None, **header: Any) -> bytes:
        """A token of good claims, unless they are given; a header member of None is left out."""
        members = {"alg": self.algorithm, "typ": "JWT", "kid": self.key_id} | header
        return self.seal(
            as_json({key: value for key, value in members.items() if value is not None}),
            as_json(good_claims() if claims is None else claims),
        )


def good_claims(**more: Any) -> dict[str, Any]:
    """Claims that the issuer's operation accepts at `NOW`; a value of None takes one out."""
    claims = {"iss": ISSUER, "sub": "alice", "exp": NOW + 600, "iat": NOW - 5, "nbf": NOW - 5, "scope": "read"} | more
    return {key: value for key, value in claims.items() if value is not None}


class Clock:
    """A clock that stands still unless it is told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Client:
    """The client's side of an exchange that nobody is connected to."""

    peer = "192.0.2.1"
    scheme = "https"
    trusted = False
    forwarded = b""


class Gate:
    """The authenticate and authorise stages of one operation, and what they say to a credential."""

    def __init__(
        self,
        context: SecurityContext,
        *,
        scopes: tuple[str, ...] = (),
        schemes: tuple[str, ...] = ("oauth2", "jwt"),
        auth_header: str = "",
    ) -> None:
        operation = Operation(id="op", method="GET", path="/op", security=Security(schemes=schemes, scopes=scopes))
        api = Api(
            id="api",
            name="Api",
            version="1",
            base_path="/api",
            file="api.yaml",
            operations=(operation,),
            auth_header=auth_header,
        )
        stages = [authenticate.link(context, api, operation), authorise.link(context, api, operation)]
        self.stages = [stage for stage in stages if stage is not None]

    def exchange(self, value: bytes = b"", lines: list[bytes] | None = None) -> Exchange:
        exchange = Exchange(Client(), "GET", b"/api/op", lines or [])
        exchange.authorization = value
        return exchange

    def judge(self, value: bytes = b"", lines: list[bytes] | None = None) -> Exchange:
        """Run the stages; the exchange carries the consumer or the fault. A stage that wants to wait is an error."""
        exchange = self.exchange(value, lines)
        for stage in self.stages:
            outcome = stage(exchange)
            if outcome is not None:
                assert isinstance(outcome, Fault)
                exchange.fault = outcome
                return exchange
        return exchange

    async def judge_slowly(self, value: bytes) -> Exchange:
        """As `judge`, and wait where a stage asks for it."""
        exchange = self.exchange(value)
        for stage in self.stages:
            outcome = stage(exchange)
            if outcome is not None and not isinstance(outcome, Fault):
                outcome = await outcome
            if outcome is not None:
                exchange.fault = outcome
                return exchange
        return exchange

    def reason(self, token: bytes) -> str:
        """Why a bearer token is refused; "" where it is not."""
        exchange = self.judge(b"Bearer " + token)
        return exchange.fault.reason if exchange.fault is not None else ""


def challenge(exchange: Exchange) -> str:
    """The WWW-Authenticate of a refused exchange; "" where there is none."""
    assert exchange.fault is not None
    return "".join(value.decode() for name, value in exchange.fault.headers if name == b"WWW-Authenticate")


def key_set(*members: dict[str, Any]) -> bytes:
    return as_json({"keys": list(members)})


def settings_of(*issuers: JwtIssuer, **sections: Any) -> Settings:
    return msgspec.structs.replace(Settings(issuers=issuers), **sections)
