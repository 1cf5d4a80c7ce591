"""Signed answers of an introspection service: only those of the issuer's keys, of the right kind, count."""

from __future__ import annotations

import pytest

from harness.backend import Backend, respond
from harness.contexts import context_of, run
from harness.minting import ISSUER, NOW, Gate, Signer, as_json, key_set, settings_of
from microgate.settings.model import JwtIssuer, KeyManager

SIGNED = "application/token-introspection+jwt"
SIGNER = Signer("ES256", "k1")
OTHER = Signer("ES256", "k1")


def answer(signer: Signer = SIGNER, header: dict[str, object] | None = None, **claims: object) -> bytes:
    members = {"iss": ISSUER, "aud": "petstore", "iat": NOW, "token_introspection": {"active": True, "sub": "ann"}}
    head = {"typ": "token-introspection+jwt"} | (header or {})
    return signer.token({key: value for key, value in (members | claims).items() if value is not None}, **head)


def outcome(tmp_path, body: bytes, kind: str = SIGNED, audience: str = "petstore") -> str:
    """Who calls, or why nobody does."""
    found: list[str] = []
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(SIGNER.jwk()))

    async def main() -> None:
        manager = KeyManager(
            introspection_url=f"{service.url}/introspect",
            introspection_answer="jwt",
            introspection_issuer=ISSUER,
            audience=audience,
        )
        issuer = JwtIssuer(issuer=ISSUER, jwks_file=str(file), audience="other")
        gate = Gate(context_of(settings_of(issuer, key_manager=manager)))
        exchange = await gate.judge_slowly(b"Bearer opaque-token")
        found.append(exchange.fault.reason if exchange.fault else exchange.consumer.name)

    with Backend(respond(body, headers=(("Content-Type", kind),))) as service:
        run(main())
        assert dict(service.requests[0].headers)["Accept"] == SIGNED
    return found[0]


def test_a_signed_answer_says_who_calls(tmp_path) -> None:
    told = {"active": True, "sub": "ann", "aud": "petstore"}
    assert outcome(tmp_path, answer(token_introspection=told)) == "ann"
    assert outcome(tmp_path, answer(header={"typ": "application/token-introspection+JWT"}), audience="") == "ann"


def test_a_signed_no_is_a_no(tmp_path) -> None:
    assert outcome(tmp_path, answer(token_introspection={"active": False})) == "auth.opaque.inactive"


BAD = {
    "plain JSON": (b'{"active": true}', "application/json"),
    "plain JSON that says it is signed": (b'{"active": true}', SIGNED),
    "signed, but of another type": (answer(), "application/jwt"),
    "somebody else's key": (answer(OTHER), SIGNED),
    "an access token": (answer(header={"typ": "at+jwt"}), SIGNED),
    "no type": (answer(header={"typ": None}), SIGNED),
    "no algorithm": (answer(header={"alg": "none"}), SIGNED),
    "a shared secret": (answer(header={"alg": "HS256"}), SIGNED),
    "critical": (answer(header={"crit": ["x"]}), SIGNED),
    "an unknown key": (answer(header={"kid": "k2"}), SIGNED),
    "another issuer": (answer(iss="https://evil.example.com"), SIGNED),
    "another audience": (answer(aud="elsewhere"), SIGNED),
    "no audience": (answer(aud=None), SIGNED),
    "over": (answer(exp=NOW - 60), SIGNED),
    "of tomorrow": (answer(iat=NOW + 86_400), SIGNED),
    "nothing about the token": (answer(token_introspection=None), SIGNED),
    "a word about the token": (answer(token_introspection="active"), SIGNED),
    "active at the wrong place": (answer(token_introspection={}, active=True), SIGNED),
    "active is a word": (answer(token_introspection={"active": "yes"}), SIGNED),
    "two parts": (answer().rpartition(b".")[0], SIGNED),
    "changed": (answer()[:-8] + b"AAAAAAAA", SIGNED),
    "no object": (
        SIGNER.seal(as_json({"alg": "ES256", "kid": "k1", "typ": "token-introspection+jwt"}), b"[1]"),
        SIGNED,
    ),
    "huge": (answer(padding="x" * 70_000), SIGNED),
}


@pytest.mark.parametrize("name", BAD)
def test_any_other_answer_admits_nobody(name, tmp_path) -> None:
    assert outcome(tmp_path, *BAD[name]) == "auth.opaque.answer"
