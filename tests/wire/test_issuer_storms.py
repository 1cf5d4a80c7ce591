"""Keys of issuers at a gateway of four workers: rotation, storms, outages, discovery (cases 8, 26 to 28, R14)."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness.backend import Backend, respond
from harness.descriptions import describe
from harness.minting import ISSUER, Signer, as_json, b64, key_set
from harness.sealing import Sealer, private_pem
from harness.waiting import wait_until

API = describe(["/a"], secured=True)
FOUR = "[runtimeConfig]\nworkers = 4\n"
UNKNOWN_KEY_IDS = 10_000


class Issuer(Backend):
    """A server that publishes keys, and its metadata."""

    def publish(self, *signers):
        document = key_set(*(signer.jwk() for signer in signers))

        def script(talk):
            page = document
            if "openid" in talk.request.target:
                page = json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/found"}).encode()
            respond(page)(talk)

        self.script = script

    @property
    def fetches(self):
        return [request.target for request in self.requests]


@pytest.fixture
def issuer():
    with Issuer() as server:
        yield server


def _claims(name=ISSUER, **more):
    now = int(time.time())
    return {"iss": name, "sub": "alice", "exp": now + 600, "iat": now, **more}


def _settings(issuer, more=""):
    return f'{FOUR}[[jwtTokenConfig]]\nissuer = "{ISSUER}"\njwksURL = "{issuer.url}/keys"\n{more}'


def _status(running, token):
    with running.connect() as client:
        return client.get("/a", ("Authorization", f"Bearer {token.decode()}")).status


def _statuses(running, token, connections=16):
    """On as many connections, so that every worker is asked."""
    return {_status(running, token) for _ in range(connections)}


def test_case_27_r14_ten_thousand_unknown_key_ids_cost_one_fetch(gateway, backend, issuer):
    signer = Signer("ES256")
    issuer.publish(signer)
    running = gateway(API, settings=_settings(issuer))
    good = signer.token(_claims())
    wait_until(lambda: _status(running, good) == 200, "the keys are there")
    first = len(issuer.fetches)
    began = time.monotonic()
    _, payload, signature = good.split(b".")

    def storm(number):
        refused = 0
        with running.connect() as client:
            for position in range(UNKNOWN_KEY_IDS // 8):
                # Other key ids each time; the signature is no matter, since there is no key to hold it against.
                head = b64(as_json({"alg": "ES256", "kid": f"{number}-{position}"}))
                value = b".".join((head, payload, signature)).decode()
                refused += client.get("/a", ("Authorization", f"Bearer {value}")).status == 401
        return refused

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(storm, range(8))) == UNKNOWN_KEY_IDS // 8 * 8
    allowed = 1 + (time.monotonic() - began) // 30
    assert len(issuer.fetches) - first <= allowed
    assert _statuses(running, good) == {200}


def test_weakness_03_distinct_tokens_cost_the_issuer_nothing(gateway, backend, issuer):
    signer = Signer("ES256")
    issuer.publish(signer)
    running = gateway(API, settings=_settings(issuer))
    wait_until(lambda: _status(running, signer.token(_claims())) == 200, "the keys are there")
    before = len(issuer.fetches)
    with running.connect() as client:
        for number in range(200):
            value = f"Bearer {signer.token(_claims(sub=str(number))).decode()}"
            assert client.get("/a", ("Authorization", value)).status == 200
    assert len(issuer.fetches) == before == 1


def test_case_26_a_rotated_key_works_at_once_on_every_worker(gateway, backend, issuer):
    old, new = Signer("ES256", "old"), Signer("ES256", "new")
    issuer.publish(old)
    running = gateway(API, settings=_settings(issuer))
    wait_until(lambda: _status(running, old.token(_claims())) == 200, "the keys are there")
    before = len(issuer.fetches)
    issuer.publish(new)
    assert _status(running, new.token(_claims())) == 200, "on that very request"
    assert _statuses(running, new.token(_claims(sub="bob"))) == {200}
    assert _statuses(running, old.token(_claims())) == {401}
    assert len(issuer.fetches) == before + 1


def test_case_26_a_key_without_an_id_that_was_replaced_works_at_once_on_every_worker(gateway, backend, issuer):
    old, new = Signer("ES256", None), Signer("ES256", None)
    issuer.publish(old)
    running = gateway(API, settings=_settings(issuer))
    wait_until(lambda: _status(running, old.token(_claims())) == 200, "the keys are there")
    before = len(issuer.fetches)
    issuer.publish(new)
    assert _status(running, new.token(_claims())) == 200, "on that very request"
    assert _statuses(running, new.token(_claims(sub="bob"))) == {200}
    assert _statuses(running, old.token(_claims())) == {401}
    assert len(issuer.fetches) == before + 1


@pytest.mark.parametrize("key_id", [None, "made-up"])
def test_case_27_made_up_signatures_cost_one_fetch_where_keys_have_no_ids(gateway, backend, issuer, key_id):
    signer, stranger = Signer("ES256", None), Signer("ES256", None)
    issuer.publish(signer)
    running = gateway(API, settings=_settings(issuer))
    good = signer.token(_claims())
    wait_until(lambda: _status(running, good) == 200, "the keys are there")
    before, began = len(issuer.fetches), time.monotonic()
    with running.connect() as client:
        for number in range(100):
            token = stranger.token(_claims(sub=str(number)), kid=key_id)
            assert client.get("/a", ("Authorization", f"Bearer {token.decode()}")).status == 401
    assert len(issuer.fetches) - before <= 1 + (time.monotonic() - began) // 30
    assert "auth.jwt.signature" in running.access_log.read_text()
    assert _statuses(running, good) == {200}


def test_weakness_03_a_bad_signature_under_a_known_key_id_costs_the_issuer_nothing(gateway, backend, issuer):
    signer, stranger = Signer("ES256", "known"), Signer("ES256", "known")
    issuer.publish(signer)
    running = gateway(API, settings=_settings(issuer))
    wait_until(lambda: _status(running, signer.token(_claims())) == 200, "the keys are there")
    before = len(issuer.fetches)
    assert _statuses(running, stranger.token(_claims())) == {401}
    assert len(issuer.fetches) == before


def test_case_28_r14_known_keys_serve_while_the_issuer_is_down(gateway, backend, issuer):
    signer = Signer("ES256")
    issuer.publish(signer)
    running = gateway(API, settings=_settings(issuer))
    wait_until(lambda: _status(running, signer.token(_claims())) == 200, "the keys are there")
    issuer.script = respond(b"no", status="503 Service Unavailable")
    unknown = signer.token(_claims(), kid="made-up")
    assert _statuses(running, unknown) == {401}
    for number in range(20):
        assert _status(running, signer.token(_claims(sub=f"user-{number}"))) == 200
    assert "its last keys stay in use" in running.output
    assert "microgate_key_set_failures_total 1" in running.metrics()


def test_case_08_no_keys_from_the_start_means_closed_until_they_come(gateway, backend, issuer):
    signer = Signer("ES256")
    issuer.script = respond(b"no", status="503 Service Unavailable")
    running = gateway(API, settings=_settings(issuer))
    assert _status(running, signer.token(_claims())) in (401, 503)
    assert backend.bytes == 0
    issuer.publish(signer)
    wait_until(lambda: _status(running, signer.token(_claims())) == 200, "the keys are there", seconds=10)
    assert ISSUER in running.output


def test_keys_are_discovered_by_the_issuers_name(gateway, backend, issuer):
    signer = Signer("ES256")
    issuer.publish(signer)
    settings = f'{FOUR}[[jwtTokenConfig]]\nissuer = "{issuer.url}"\ndiscovery = true\n'
    running = gateway(API, settings=settings)
    token = signer.token(_claims(issuer.url))
    wait_until(lambda: _status(running, token) == 200, "the keys are discovered")
    assert _statuses(running, token) == {200}
    assert issuer.fetches == ["/.well-known/openid-configuration", "/found"]
    assert _status(running, signer.token(_claims(f"{issuer.url}/"))) == 401


def test_an_encrypted_token_is_opened(gateway, backend, issuer, tmp_path):
    signer = Signer("ES256")
    issuer.publish(signer)
    key = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "tokens.key"
    file.write_bytes(private_pem(key))
    running = gateway(API, settings=_settings(issuer, f'[encryptedTokenConfig]\nprivateKeyFiles = ["{file}"]\n'))
    token = Sealer(key).token(signer.token(_claims()))
    wait_until(lambda: _status(running, token) == 200, "the keys are there")
    stranger = Sealer(ec.generate_private_key(ec.SECP256R1())).token(signer.token(_claims()))
    assert _status(running, stranger) == 401
    wait_until(lambda: "auth.jwt.encryption" in running.access_log.read_text(), "the reason is logged")
