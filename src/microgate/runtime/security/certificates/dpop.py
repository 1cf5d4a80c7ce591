"""Proofs of possession (DPoP, RFC 9449): a signed statement that the sender of this request holds the key of its token.

bound_tokens.py asks for the proof of a request. A proof is good once, for one method and address, for a short time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from microgate.runtime import faults
from microgate.runtime.security.certificates.replay import Entered
from microgate.runtime.security.certificates.thumbprints import base64url, key_thumbprint, thumbprint
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.tokens.compact import decode_base64url
from microgate.runtime.security.tokens.signatures import ALGORITHMS, UnusableKeyError, VerificationKey, from_jwk

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.certificates.replay import ReplayRegion, Replays
    from microgate.runtime.security.counting import Counter
    from microgate.settings.security import Dpop

INVALID = "invalid_dpop_proof"
MISSING = Reason("auth.dpop.missing", "a proof is needed", error=INVALID)
REPEATED = Reason("auth.dpop.repeated", "more than one proof was sent", error=INVALID)
MALFORMED = Reason("auth.dpop.malformed", "the proof is malformed", error=INVALID)
ALGORITHM = Reason("auth.dpop.algorithm", "the signature algorithm of the proof is not accepted", error=INVALID)
KEY = Reason("auth.dpop.key", "the key in the proof cannot be used", error=INVALID)
SIGNATURE = Reason("auth.dpop.signature", "the signature of the proof is not valid", error=INVALID)
REQUEST = Reason("auth.dpop.request", "the proof is for another request", error=INVALID)
TIME = Reason("auth.dpop.time", "the proof is too old, or made in the future", error=INVALID)
TOKEN = Reason("auth.dpop.token", "the proof is for another access token", error=INVALID)
HOLDER = Reason("auth.dpop.holder", "the access token is bound to another key", error=INVALID)
REPLAYED = Reason("auth.dpop.replayed", "the proof was used before", error=INVALID)
NONCE = Reason("auth.dpop.nonce", "the proof needs the nonce of this answer", error="use_dpop_nonce")
FULL = Reason("auth.dpop.full", kind=faults.OVERLOAD)

MAX_PROOF_BYTES = 8_192
MAX_NAME_BYTES = 512  # of a proof's `jti`
LEEWAY_SECONDS = 30  # for clocks ahead of ours
NONCE_SECONDS = 300  # a nonce is good for so long, and for as long again
_PUBLIC_MEMBERS = frozenset({"kty", "crv", "x", "y", "n", "e"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_DEFAULT_PORTS = {"https": ":443", "http": ":80"}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class _Header(msgspec.Struct):
    typ: str
    alg: str
    jwk: dict[str, Any]
    crit: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    b64: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Claims(msgspec.Struct):
    jti: str
    htm: str
    htu: str
    iat: float
    ath: str
    nonce: str = ""


_read_header = msgspec.json.Decoder(_Header).decode
_read_claims = msgspec.json.Decoder(_Claims).decode


class _Signer(NamedTuple):
    algorithm: str
    key: VerificationKey
    thumbprint: str


class Proofs:
    """What a worker checks proofs with."""

    def __init__(
        self,
        settings: Dpop,
        replays: Replays,
        region: ReplayRegion,
        clock: Callable[[], float],
        counter: Counter = uncounted,
    ) -> None:
        self._lifetime = settings.proof_lifetime_in_seconds
        self._wants_nonce = settings.require_nonce
        self._origins = frozenset(_origin(*_split(one)[:2]) for one in settings.origins)
        self._replays = replays
        self._secret = region.secret
        # One from before may have been used before, also one that its maker's clock has dated ahead.
        self._unseen_until = region.since + LEEWAY_SECONDS if settings.nonce_after_start else 0.0
        self._clock = clock
        self._replayed = counter("proofs_replayed")
        self._full = counter("proofs_without_room")

    def check(self, exchange: Exchange, token: bytes, holder: str) -> None:
        """Raise TokenError unless the request has one good proof of the key whose thumbprint is `holder`."""
        values = exchange.values(b"dpop")
        if len(values) != 1:
            raise TokenError(REPEATED if values else MISSING)
        now = self._clock()
        signer, claims, signed, signature = _parse(values[0])
        if claims.htm != exchange.method or not self._is_here(claims.htu, exchange):
            raise TokenError(REQUEST)
        if not now - self._lifetime <= claims.iat <= now + LEEWAY_SECONDS:
            raise TokenError(TIME)
        if claims.ath != thumbprint(token):
            raise TokenError(TOKEN)
        if signer.thumbprint != holder:
            raise TokenError(HOLDER)
        if not signer.key.verifies(signer.algorithm, signature, signed):
            raise TokenError(SIGNATURE)
        if (self._wants_nonce or claims.iat < self._unseen_until) and not self._is_nonce(claims.nonce, now):
            raise TokenError(NONCE)
        self._enter(holder, claims, now)

    def _enter(self, holder: str, claims: _Claims, now: float) -> None:
        """Last, so that only who holds a good token and its key takes room."""
        name = f"{holder}\n{claims.jti}".encode()
        entered = self._replays.enter(name, claims.iat + self._lifetime + 1, now)
        if entered is Entered.SEEN:
            self._replayed(1)
            raise TokenError(REPLAYED)
        if entered is Entered.FULL:
            self._full(1)
            raise TokenError(FULL)

    def _is_here(self, address: str, exchange: Exchange) -> bool:
        """RFC 9449 §4.3: compared after normalising (RFC 3986 §6.2.2, §6.2.3), without query and fragment."""
        try:
            scheme, authority, path = _split(address)
            here = _normal(exchange.path.decode("latin-1"))
            said = _origin(scheme, authority)
            origins = self._origins or (_origin(exchange.scheme, exchange.authority.decode("latin-1")),)
        except ValueError:
            return False
        return said in origins and _normal(path) == here

    # Nonces: a time with its keyed digest, so that nothing has to be kept.

    def nonce(self) -> bytes:
        """A nonce for the client's next proofs."""
        return self._nonce_of(int(self._clock()) // NONCE_SECONDS).encode()

    def _nonce_of(self, period: int) -> str:
        digest = hmac.digest(self._secret, period.to_bytes(8, "big"), hashlib.sha256)
        return base64url(digest[:18])

    def _is_nonce(self, nonce: str, now: float) -> bool:
        period = int(now) // NONCE_SECONDS
        return any(hmac.compare_digest(nonce.encode(), self._nonce_of(one).encode()) for one in (period, period - 1))


def _parse(proof: bytes) -> tuple[_Signer, _Claims, bytes, bytes]:
    """What a proof says, believed by nobody yet."""
    if len(proof) > MAX_PROOF_BYTES:
        raise TokenError(MALFORMED)
    parts = proof.split(b".")
    if len(parts) != 3:
        raise TokenError(MALFORMED)
    signer = _signer(parts[0])
    try:
        claims = _read_claims(decode_base64url(parts[1]))
        signature = decode_base64url(parts[2])
    except (ValueError, TokenError, RecursionError):
        raise TokenError(MALFORMED) from None
    if not 0 < len(claims.jti) <= MAX_NAME_BYTES:
        raise TokenError(MALFORMED)
    return signer, claims, proof[: len(parts[0]) + 1 + len(parts[1])], signature


# Proofs of one client share their header, byte for byte.
@lru_cache(maxsize=256)
def _signer(part: bytes) -> _Signer:
    try:
        header = _read_header(decode_base64url(part))
    except (ValueError, TokenError, RecursionError):
        raise TokenError(MALFORMED) from None
    if header.typ != "dpop+jwt" or header.crit is not msgspec.UNSET or header.b64 is not msgspec.UNSET:
        raise TokenError(MALFORMED)
    if header.alg not in ALGORITHMS:
        raise TokenError(ALGORITHM)
    if _PRIVATE_MEMBERS & header.jwk.keys():
        raise TokenError(KEY)
    member = {name: header.jwk[name] for name in header.jwk.keys() & _PUBLIC_MEMBERS}
    if not all(isinstance(value, str) for value in member.values()):
        raise TokenError(KEY)
    try:
        key = from_jwk(member)
        holder = key_thumbprint(member)
    except (UnusableKeyError, KeyError, TypeError, ValueError):
        raise TokenError(KEY) from None
    if not key.fits(header.alg):
        raise TokenError(ALGORITHM)
    return _Signer(header.alg, key, holder)


def _split(address: str) -> tuple[str, str, str]:
    scheme, separator, rest = address.partition("://")
    if not separator or not rest:
        raise ValueError("no absolute address")
    rest = rest.partition("#")[0].partition("?")[0]
    authority, _, path = rest.partition("/")
    return scheme, authority, "/" + path


def _origin(scheme: str, authority: str) -> str:
    scheme, authority = scheme.lower(), authority.lower()
    return f"{scheme}://{authority.removesuffix(_DEFAULT_PORTS.get(scheme, ' '))}"


def _normal(path: str) -> str:
    return _ESCAPE.sub(_decoded, path)


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
