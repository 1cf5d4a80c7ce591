"""Forged and broken tokens, made by the hundred from good ones (R10): each with a name and the reason for which it is refused.

The attacked operation trusts one issuer with keys of every algorithm, whose public forms an attacker knows too, and asks for the
audience `shop`. Used against the stages alone and through a real gateway.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.minting import ALGORITHMS, ISSUER, Signer, as_json, b64, key_set
from microgate.runtime.security import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

Forged = tuple[str, bytes, str]

ANY = ""  # more than one reason is right


class Scene(NamedTuple):
    """The issuer's key pairs by algorithm, which is their key id, and the time of the attack."""

    signers: dict[str, Signer]
    now: int

    @property
    def claims(self) -> dict[str, Any]:
        """Those of a token that would be accepted."""
        times = {"exp": self.now + 600, "iat": self.now - 5, "nbf": self.now - 5}
        return {"iss": ISSUER, "sub": "alice", "scope": "read", "aud": "shop", **times}

    def without(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self.claims.items() if key != name}


def corpus(scene: Scene) -> list[Forged]:
    """All of them: more than a thousand."""
    makers = (
        without_signature,
        with_public_key_as_secret,
        with_a_key_of_its_own,
        with_a_bad_header,
        with_bad_claims,
        with_a_bad_payload,
        broken_bytes,
    )
    return [forged for make in makers for forged in make(scene)]


def sealed(scene: Scene, signer: Signer, header: dict[str, Any], claims: dict[str, Any] | None = None) -> bytes:
    return signer.seal(
        as_json({"alg": signer.algorithm, "kid": signer.key_id} | header), as_json(claims or scene.claims)
    )


def without_signature(scene: Scene) -> Iterator[Forged]:
    good = scene.signers["RS256"].token(scene.claims)
    signature = good[good.rindex(b".") + 1 :]
    casings = {"".join(letters) for letters in itertools.product(*zip("none", "NONE", strict=True))}
    for name in (
        *sorted(casings),
        "none ",
        " none",
        "non",
        "nones",
        "",
        "null",
        "None\x00",
        "\uff4e\uff4f\uff4e\uff45",
    ):
        head = b64(as_json({"alg": name, "typ": "JWT"})) + b"." + b64(as_json(scene.claims))
        yield f"alg {name!r}, empty signature", head + b".", refusals.MALFORMED
        yield f"alg {name!r}, no third part", head, refusals.MALFORMED
        yield f"alg {name!r}, borrowed signature", head + b"." + signature, refusals.ALGORITHM
        yield f"alg {name!r}, one byte", head + b"." + b64(b"\0"), refusals.ALGORITHM
    for value in (None, True, 0, [], ["RS256"], {"alg": "RS256"}):
        head = b64(as_json({"alg": value, "kid": "RS256"})) + b"." + b64(as_json(scene.claims))
        yield f"alg is {value!r}", head + b"." + signature, refusals.MALFORMED


def public_forms(signer: Signer) -> Iterator[tuple[str, bytes]]:
    """What an attacker may take for a shared secret: every published form of a public key."""
    public = signer.private.public_key()
    forms = {
        "PEM": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "DER": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    }
    if signer.algorithm.startswith(("RS", "PS")):
        forms |= {"PKCS1 PEM": (Encoding.PEM, PublicFormat.PKCS1), "PKCS1 DER": (Encoding.DER, PublicFormat.PKCS1)}
    if "448" not in signer.key_id:
        forms["OpenSSH"] = (Encoding.OpenSSH, PublicFormat.OpenSSH)
    for name, (encoding, form) in forms.items():
        data = public.public_bytes(encoding, form)
        yield name, data
        yield f"{name} stripped", data.strip()
        yield f"{name} with CRLF", data.replace(b"\n", b"\r\n")
    member = signer.jwk()
    yield "JWK", as_json(member)
    yield "JWK spaced", json.dumps(member).encode()
    yield "JWKS", key_set(member)
    for name in ("n", "x"):
        if name in member:
            yield f"JWK {name}", member[name].encode()
    yield "empty", b""


def with_public_key_as_secret(scene: Scene) -> Iterator[Forged]:
    for name in ("RS256", "PS384", "ES256", "ES512", "EdDSA", "EdDSA-448"):
        for (form, secret), bits in itertools.product(public_forms(scene.signers[name]), (256, 384, 512)):
            signed = b64(as_json({"alg": f"HS{bits}", "kid": name})) + b"." + b64(as_json(scene.claims))
            signature = hmac.new(secret, signed, getattr(hashlib, f"sha{bits}")).digest()
            yield f"HS{bits} with {name} as {form}", signed + b"." + b64(signature), refusals.ALGORITHM


def with_a_key_of_its_own(scene: Scene) -> Iterator[Forged]:
    for name in ("RS256", "ES256", "EdDSA"):
        own = Signer(name, name, serial=1)
        bait = {
            "jwk": own.jwk(),
            "jku": "http://127.0.0.1:9/keys",
            "x5u": "http://127.0.0.1:9/certificate",
            "x5c": [b64(own.pem).decode()],
            "x5t": "AAAA",
            "jwks": {"keys": [own.jwk()]},
        }
        for member, value in bait.items():
            yield f"{name} with {member}", sealed(scene, own, {member: value}), refusals.SIGNATURE
        yield f"{name} with all of them", sealed(scene, own, bait), refusals.SIGNATURE
        yield f"{name} without key id", sealed(scene, own, {"kid": None, "x": 1}), ANY
        yield f"{name} with its own key id", sealed(scene, own, {"kid": "mine"} | bait), refusals.KEY_UNKNOWN
    for name, other in itertools.permutations(ALGORITHMS, 2):
        token = sealed(scene, scene.signers[name], {"kid": other})
        yield f"{name} under the key id of {other}", token, ANY
        token = sealed(scene, scene.signers[name], {"alg": scene.signers[other].algorithm, "kid": other})
        yield f"{name} in the clothes of {other}", token, refusals.SIGNATURE
    for name in (
        "/dev/null",
        "../../../../dev/null",
        "' OR '1'='1",
        "'; DROP TABLE keys; --",
        "RS256\x00",
        "rs256",
        " RS256",
        "RS256 ",
        "",
        "*",
        "%",
        "${jndi:ldap://127.0.0.1/a}",
        "http://127.0.0.1:9/keys",
        "`id`",
        "$(id)",
        "\u202e",
        "A" * 2_000,
    ):
        yield f"kid {name[:30]!r}", sealed(scene, scene.signers["RS256"], {"kid": name}), refusals.KEY_UNKNOWN
    for value in (1, 1.5, True, [], ["RS256"], {}, {"kid": "RS256"}):
        yield f"kid is {value!r}", sealed(scene, scene.signers["RS256"], {"kid": value}), refusals.MALFORMED


def with_a_bad_header(scene: Scene) -> Iterator[Forged]:
    signer = scene.signers["ES256"]
    for crit in (["exp"], ["b64"], ["http://example.com/x"], [], "exp", None, {}, 1):
        yield f"crit {crit!r}", sealed(scene, signer, {"crit": crit}), refusals.CRITICAL
        yield f"crit {crit!r} and b64", sealed(scene, signer, {"crit": crit, "b64": False}), refusals.CRITICAL
    for value in (False, True, None, 0):
        yield f"b64 {value!r}", sealed(scene, signer, {"b64": value}), refusals.CRITICAL
    for kind in (
        "",
        "JWE",
        "JOSE",
        "JOSE+JSON",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "id_token",
        "JWT ",
        "text/html",
        None,
        1,
        ["JWT"],
        {},
    ):
        yield f"typ {kind!r}", sealed(scene, signer, {"typ": kind}), refusals.TYPE
    payload = as_json(scene.claims)
    for name, header in {
        "duplicate alg": b'{"alg":"ES256","kid":"ES256","alg":"ES256"}',
        "duplicate kid": b'{"alg":"ES256","kid":"ES256","kid":"RS256"}',
        "duplicate by escape": b'{"alg":"ES256","kid":"ES256","\\u0061lg":"none"}',
        "not an object": b'["ES256"]',
        "a string": b'"ES256"',
        "trailing data": b'{"alg":"ES256","kid":"ES256"}{}',
        "comment": b'{"alg":"ES256"/**/,"kid":"ES256"}',
        "single quotes": b"{'alg':'ES256','kid':'ES256'}",
        "byte order mark": b'\xef\xbb\xbf{"alg":"ES256","kid":"ES256"}',
        "UTF-16": '{"alg":"ES256","kid":"ES256"}'.encode("utf-16"),
        "overlong UTF-8": b'{"alg":"ES256","kid":"ES256","x":"\xc0\xaf"}',
        "lone surrogate": b'{"alg":"ES256","kid":"ES256","x":"\\ud800"}',
        "NaN": b'{"alg":"ES256","kid":"ES256","x":NaN}',
        "deep": b'{"alg":"ES256","kid":"ES256","x":' + b"[" * 1_200 + b"]" * 1_200 + b"}",
        "control character": b'{"alg":"ES256","kid":"ES256","x":"\x01"}',
        "nothing": b"",
    }.items():
        yield f"header: {name}", signer.seal(header, payload), refusals.MALFORMED


def with_bad_claims(scene: Scene) -> Iterator[Forged]:
    signer = scene.signers["EdDSA"]
    for issuer in (
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER + "\0",
        f" {ISSUER}",
        "",
        None,
        1,
        True,
        [ISSUER],
        {"iss": ISSUER},
    ):
        yield f"iss {issuer!r}", sealed(scene, signer, {}, scene.claims | {"iss": issuer}), refusals.ISSUER
    yield "no iss", sealed(scene, signer, {}, scene.without("iss")), refusals.ISSUER
    for audience in ("Shop", "shop ", "shopping", "", [], ["other"], [["other"]], "other shop", [""]):
        expected = refusals.CLAIMS if audience == [["other"]] else refusals.AUDIENCE
        yield f"aud {audience!r}", sealed(scene, signer, {}, scene.claims | {"aud": audience}), expected
    for audience in (None, 1, True, {"shop": True}, ["shop", 1], ["shop", None], ["shop", ["shop"]]):
        yield f"aud {audience!r}", sealed(scene, signer, {}, scene.claims | {"aud": audience}), refusals.CLAIMS
    yield "no aud", sealed(scene, signer, {}, scene.without("aud")), refusals.AUDIENCE
    for late in (30, 30.5, 31, 60, 300, 86_400, scene.now):
        yield (
            f"expired {late} s ago",
            sealed(scene, signer, {}, scene.claims | {"exp": scene.now - late}),
            refusals.EXPIRED,
        )
    for name, early in itertools.product(("nbf", "iat"), (30.5, 31, 60, 300, 86_400)):
        yield (
            f"{name} {early} s ahead",
            sealed(scene, signer, {}, scene.claims | {name: scene.now + early}),
            refusals.NOT_YET_VALID,
        )
    for name, value in itertools.product(
        ("exp", "nbf", "iat"),
        (None, True, False, "", "1900000000", "never", [], [scene.now + 600], {}, 1e300, -1e300, 1 << 64),
    ):
        yield f"{name} {value!r}", sealed(scene, signer, {}, scene.claims | {name: value}), refusals.CLAIMS
    for name, value in itertools.product(("sub", "keytype"), (1, True, None, ["a"], {"a": 1})):
        yield f"{name} {value!r}", sealed(scene, signer, {}, scene.claims | {name: value}), refusals.CLAIMS


def with_a_bad_payload(scene: Scene) -> Iterator[Forged]:
    signer = scene.signers["EdDSA"]
    header = as_json({"alg": "EdDSA", "kid": "EdDSA"})
    rest = as_json(scene.claims)[1:]
    for name, payload in {
        "duplicate exp": b'{"exp":1,' + rest,
        "duplicate iss": b'{"iss":"x",' + rest,
        "duplicate scope": b'{"scope":"admin",' + rest,
        "duplicate by escape": b'{"\\u0065xp":1,' + rest,
        "duplicate inside": b'{"a":{"b":1,"b":2},' + rest,
        "infinite exp": b'{"nbf":0,"x":Infinity,' + rest,
        "NaN": b'{"x":NaN,' + rest,
        "list": b"[" + as_json(scene.claims) + b"]",
        "string": json.dumps(as_json(scene.claims).decode()).encode(),
        "null": b"null",
        "nothing": b"",
        "half": as_json(scene.claims)[:-1],
        "twice": as_json(scene.claims) * 2,
        "trailing comma": as_json(scene.claims)[:-1] + b",}",
        "deep list": b'{"x":' + b"[" * 4_000 + b"]" * 4_000 + b"," + rest,
        "deep object": b'{"x":' + b'{"x":' * 2_000 + b"1" + b"}" * 2_000 + b"," + rest,
        "giant number": b'{"x":' + b"9" * 5_000 + b"," + rest,
        "bad UTF-8": b'{"x":"\xff",' + rest,
        "lone surrogate": b'{"x":"\\udfff",' + rest,
        "raw newline": b'{"x":"\n",' + rest,
    }.items():
        yield f"payload: {name}", signer.seal(header, payload), refusals.MALFORMED
    yield (
        "payload: overflowing exp",
        signer.seal(header, as_json(scene.claims).replace(str(scene.now + 600).encode(), b"1e999")),
        refusals.CLAIMS,
    )


def broken_bytes(scene: Scene) -> Iterator[Forged]:
    for name in ("RS256", "ES256", "EdDSA"):
        good = scene.signers[name].token(scene.claims)
        head, payload, signature = good.split(b".")
        for position in range(0, len(good) * 6, max(1, len(good) // 12)):
            changed = bytearray(good)
            changed[position // 6] ^= 1 << (position % 6)
            yield f"{name} with bit {position} changed", bytes(changed), ANY
        for length in range(1, len(signature), max(1, len(signature) // 12)):
            yield f"{name} cut by {length}", good[:-length], ANY
        for what, token in {
            "empty": b"",
            "dots": b"..",
            "no signature": head + b"." + payload + b".",
            "no payload": head + b".." + signature,
            "no header": b"." + payload + b"." + signature,
            "two parts": head + b"." + payload,
            "four parts": good + b"." + signature,
            "five parts": good + b"..",
            "leading dot": b"." + good,
            "trailing dot": good + b".",
            "blank inside": good.replace(b".", b". ", 1),
            "trailing NUL": good + b"\0",
            "padded": head
            + b"=" * (-len(head) % 4)
            + b"."
            + payload
            + b"."
            + signature
            + b"=" * (-len(signature) % 4 or 1),
            "standard alphabet": head + b"." + payload + b"." + signature[:-2] + b"+/",
            "signature twice": good + signature,
            "parts swapped": payload + b"." + head + b"." + signature,
            "comma for dot": good.replace(b".", b","),
            "two tokens": good + b"," + good,
            "hexadecimal": head + b"." + payload + b"." + signature.hex().encode(),
        }.items():
            yield f"{name} {what}", token, ANY
        another = scene.signers[name].token(scene.claims | {"sub": "mallory"})
        yield f"{name} payload of another", head + b"." + another.split(b".")[1] + b"." + signature, refusals.SIGNATURE
        stray = bytearray(good)
        # The last character's unused bits: another spelling of the same signature.
        if len(signature) % 4:
            alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
            stray[-1] = alphabet[alphabet.index(stray[-1]) ^ 1]
            yield f"{name} stray bits", bytes(stray), refusals.MALFORMED
        for size in (20_000, 100_000, 1_000_000):
            yield f"{name} of {size} bytes", scene.signers[name].token(scene.claims | {"x": "x" * size}), refusals.SIZE
        yield f"{name} with a big header", scene.signers[name].token(scene.claims, x="x" * 5_000), refusals.SIZE
