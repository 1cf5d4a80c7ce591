"""Revocation of every kind of credential, remembered as good or not (weakness 4)."""

from __future__ import annotations

import base64
import json

import pytest

from harness.backend import Backend, respond
from harness.credentials import mint, public_pem
from harness.descriptions import describe
from harness.waiting import wait_until

SHA1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"  # of "password"
SCHEMES = {
    "user": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "token": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://id.test/t", "scopes": {}}}},
}
API = describe(
    {
        "/basic": {"get": {"security": [{"user": []}]}},
        "/signed": {"get": {"security": [{"key": []}]}},
        "/opaque": {"get": {"security": [{"token": []}]}},
    },
    secured=True,
    components={"securitySchemes": SCHEMES},
)


def _basic(user):
    return ("Authorization", f"Basic {base64.b64encode(f'{user}:password'.encode()).decode()}")


def _key(token_id):
    return mint(iss="https://localhost:9095/apikey", exp=None, jti=token_id, keytype="PRODUCTION")


KEY, OTHER_KEY = _key("key-1"), _key("key-2")


@pytest.fixture
def issuer():
    with Backend(respond(json.dumps({"active": True, "client_id": "shop", "sub": "ann"}).encode())) as server:
        yield server


@pytest.fixture
def revoked(tmp_path, gateway, issuer):
    file = tmp_path / "revoked.txt"
    file.write_text("")
    (tmp_path / "key.pem").write_bytes(public_pem())
    settings = f"""
[tokenRevocationConfig]
file = "{file}"
[apikey.tokenConfigs]
certificateFile = "{tmp_path / "key.pem"}"
[b7a.users.ann]
password = "{SHA1}"
[b7a.users.bob]
password = "{SHA1}"
[keyManager]
introspectionURL = "{issuer.url}"
"""
    return gateway(API, settings=settings), file


CASES = {
    "user": ("/basic", _basic("ann"), _basic("bob"), {"subject": "ann"}),
    "key-id": ("/signed", ("X-API-Key", KEY), ("X-API-Key", OTHER_KEY), {"key": "key-1"}),
    "key": ("/signed", ("X-API-Key", KEY), ("X-API-Key", OTHER_KEY), KEY),
    "key-signature": ("/signed", ("X-API-Key", KEY), ("X-API-Key", OTHER_KEY), KEY.rpartition(".")[2]),
    "opaque": ("/opaque", ("Authorization", "Bearer opaque-1"), ("Authorization", "Bearer opaque-2"), "opaque-1"),
    "opaque-consumer": ("/opaque", ("Authorization", "Bearer opaque-1"), None, {"consumer": "shop"}),
    "opaque-subject": ("/opaque", ("Authorization", "Bearer opaque-1"), None, {"subject": "ann"}),
    "jwt": (
        "/opaque",
        ("Authorization", f"Bearer {mint(sub='eve', jti='j1')}"),
        ("Authorization", "Bearer opaque-1"),
        "j1",
    ),
}


@pytest.mark.parametrize(("path", "credential", "other", "entry"), CASES.values(), ids=CASES)
def test_weakness_04_credentials_of_every_kind_can_be_revoked(revoked, path, credential, other, entry):
    running, file = revoked
    with running.connect() as client:
        for _ in range(2):
            assert client.get(path, credential).status == 200
        file.write_text(json.dumps(entry) if isinstance(entry, dict) else entry)
        wait_until(lambda: client.get(path, credential).status == 401, "it is refused", seconds=1.5)
        assert client.get(path, credential).fault == 900901
        if other is not None:
            assert client.get(path, other).status == 200
    secret = credential[1].rpartition(" ")[2]
    assert secret not in running.output
    assert secret not in running.access_log.read_text()
