"""R10 through a real gateway: more than a thousand forged and broken tokens, none of which gets by or is written down."""

from __future__ import annotations

import re
import time

import pytest

from harness.descriptions import describe
from harness.forgery import Scene, corpus
from harness.messages import Ended
from harness.minting import ALGORITHMS, ISSUER, Signer, key_set
from harness.waiting import wait_until

API = describe({"/a": ["get", "post"]}, secured=True)
LARGEST_SENT = 60_000
LARGEST_HEAD = 8_000  # about the limit of a head
_EDGE = re.compile("(nbf|iat) (30.5|31) s ahead")  # they become good while the others are sent
_FIELD = re.compile(rb"[\x20-\x7e\x80-\xff]*")  # what may stand in a field at all (RFC 9110 §5.5)


@pytest.fixture
def attacked(gateway, tmp_path):
    """(gateway, scene): it trusts the public keys of the scene, and nothing else."""
    scene = Scene({name: Signer(name, key_id=name) for name in ALGORITHMS}, int(time.time()))
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(*(signer.jwk() for signer in scene.signers.values())))
    settings = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\naudience = "shop"\njwksFile = "{file}"\n'
    return gateway(API, settings=settings), scene


def _attack(running, tokens):
    """The answers' statuses in order; 0 for a connection that was closed without one."""
    client = running.connect()
    statuses = []
    for token in tokens:
        try:
            client.send(b"GET /a HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer " + token + b"\r\n\r\n")
            answer = client.answer()
        except (Ended, OSError):
            answer = None
        statuses.append(answer.status if answer else 0)
        if answer is None or (answer.header("connection") or "").lower() == "close":
            client.socket.close()
            client = running.connect()
    client.socket.close()
    return statuses


def test_r10_no_forged_token_gets_by(attacked, backend):
    running, scene = attacked
    forged = [one for one in corpus(scene) if len(one[1]) <= LARGEST_SENT and not _EDGE.fullmatch(one[0])]
    assert len({token for _, token, _ in forged}) >= 500
    statuses = _attack(running, [token for _, token, _ in forged])
    wrong = []
    for (name, token, _), status in zip(forged, statuses, strict=True):
        allowed = (401,)
        if not _FIELD.fullmatch(token) or len(token) > LARGEST_HEAD:
            allowed = (400, 401, 431)  # it is no field, or the head is too large: refused before anybody reads a token
        if status not in allowed:
            wrong.append(f"{name}: {status}")
    assert wrong == []
    assert backend.bytes == 0
    lines = running.log_lines(len(forged))
    assert {line["reason"].partition(".")[0] for line in lines} <= {"auth", "http"}
    assert not [line for line in lines if line["status"] >= 500]
    # Every token begins with `{"` in base64url, and so does each of its parts.
    assert "eyJ" not in running.access_log.read_text(encoding="utf-8") + running.output
    with running.connect() as client:
        good = scene.signers["ES256"].token(scene.claims).decode()
        assert client.get("/a", ("Authorization", f"Bearer {good}")).status == 200
    wait_until(lambda: len(backend.requests) == 1, "the good one arrives")


def test_r10_a_token_of_a_megabyte_is_refused_early(attacked, backend):
    running, scene = attacked
    token = scene.signers["ES256"].token(scene.claims | {"x": "x" * 1_000_000})
    assert _attack(running, [token]) in ([431], [0])
    assert backend.bytes == 0
