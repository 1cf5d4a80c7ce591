"""What goes together stands together: of several credentials that vouch for one request, each can be taken back."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from harness.certified import Certified
from harness.client import Client
from harness.credentials import bearer, mint, public_pem
from harness.descriptions import describe
from harness.waiting import wait_until

SCHEMES = {
    "token": {"type": "oauth2", "flows": {}},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
}
DIGEST = hashlib.sha256(b"secret").hexdigest()
BLOCKED = "blocked:\n  callers: [mallory]\nrequired: false\n"


@pytest.fixture
def file(tmp_path):
    place = tmp_path / "revoked.txt"
    place.write_text("")
    return place


@pytest.fixture
def pair(gateway, tmp_path, file):
    """An operation that asks for a token and a key together, read literally."""
    (tmp_path / "key.pem").write_bytes(public_pem())
    api = describe(
        {"/a": {"get": {"security": [{"token": [], "key": []}]}}},
        secured=True,
        x_microgate_security="literal",
        components={"securitySchemes": SCHEMES},
    )
    other = describe(["/b"], base="/other", title="Other", secured=True)
    settings = (
        f'[tokenRevocationConfig]\nfile = "{file}"\n[apikey.tokenConfigs]\ncertificateFile = "{tmp_path / "key.pem"}"\n'
    )
    return gateway(api, other, settings=settings, files={"subscriptions.yaml": BLOCKED})


def _key(**claims):
    return "X-Key", mint(**{"iss": "https://localhost:9095/apikey", "exp": None, "keytype": "PRODUCTION", **claims})


def _status(running, *fields):
    with running.connect() as client:
        return client.get("/a", *fields).status


@pytest.mark.parametrize(
    "entry", ["key-1", {"key": "key-1"}, {"subject": "holder"}, {"consumer": "app"}, {"subject": "tester"}]
)
def test_either_of_two_credentials_can_be_revoked(pair, file, entry):
    fields = (bearer(), _key(jti="key-1", sub="holder", consumerKey="app"))
    assert _status(pair, *fields) == 200
    file.write_text(f"{entry if isinstance(entry, str) else json.dumps(entry)}\n")
    wait_until(lambda: _status(pair, *fields) == 401, "it is refused")
    if entry != {"subject": "tester"}:
        assert _status(pair, bearer(), _key(jti="key-2", sub="other", consumerKey="other")) == 200


def test_a_blocked_holder_of_either_is_shut_out(pair):
    assert _status(pair, bearer(), _key(sub="ann")) == 200
    assert _status(pair, bearer(), _key(sub="mallory")) == 401
    assert _status(pair, bearer(sub="mallory"), _key(sub="ann")) == 401


def test_a_certificate_is_revoked_beside_a_token_and_on_an_open_operation(gateway, tmp_path, identity, file):
    certified = Certified(gateway, tmp_path, identity)
    client, other = certified.root.issue("client"), certified.root.issue("other")
    paths = {"/a": {"get": {}}, "/open": {"get": {"x-wso2-disable-security": True}}}
    api = describe(paths, title="Shop", secured=True, x_wso2_mutual_ssl="mandatory")
    certified.start(api, settings=f'[tokenRevocationConfig]\nfile = "{file}"')
    assert certified.call(client, bearer()) == (200, None)
    assert certified.call(client, path="/open") == (200, None)
    file.write_text('{"subject": "client"}\n')
    wait_until(lambda: certified.call(client, bearer())[0] == 401, "it is refused")
    assert certified.call(client, path="/open")[0] == 401
    assert certified.call(other, bearer()) == (200, None)


def test_who_was_revoked_or_is_blocked_gets_no_key(gateway, tmp_path, identity, file):
    users = "".join(f'[b7a.users.{name}]\npassword = "@sha256:{{{DIGEST}}}"\n' for name in ("ann", "mallory"))
    settings = (
        f'[tokenRevocationConfig]\nfile = "{file}"\n{users}[listenerConfig]\nhttpsPort = 0\n'
        f'certificateFile = "{identity.certificate_file}"\nprivateKeyFile = "{identity.private_key_file}"\n'
    )
    apis = describe(["/a"], secured=True), describe(["/b"], base="/other", title="Other", secured=True)
    running = gateway(*apis, settings=settings, files={"subscriptions.yaml": BLOCKED})

    def status(user):
        with Client(running.https, tls=identity.client_context()) as client:
            return client.request("POST", "/apikey", [login(user)]).status

    assert status("ann") == 200
    assert status("mallory") == 401
    file.write_text('{"subject": "ann"}\n')
    wait_until(lambda: status("ann") == 401, "it is refused")


def login(user):
    return "Authorization", "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()
