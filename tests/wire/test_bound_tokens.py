"""Tokens that are bound to a key of their holder: DPoP (RFC 9449) and client certificates (RFC 8705)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.certified import Certified
from harness.credentials import bearer, mint
from harness.descriptions import describe
from harness.proofs import Holder, shown

URL = "http://gateway.test/a"
ASKS = describe(
    {"/a": ["get", "post"], "/b c": ["get"]}, secured=True, title="Asks", base="/", x_microgate_bound_tokens="dpop"
)
PLAIN = describe(["/x"], secured=True, title="Plain", base="/plain")


@pytest.fixture
def holder():
    return Holder()


@pytest.fixture
def call(shared_pair):
    """Calls the gateway with fields; the status, and the reason from the log where it refuses."""
    running = shared_pair((ASKS, PLAIN), "").gateway

    def make(path, fields, method="GET"):
        log = running.access_log
        seen = log.read_bytes().count(b"\n") if log.exists() else 0
        with running.connect() as client:
            answer = client.request(method, path, fields)
        line = running.log_lines(seen + 1)[seen]
        return answer, line["reason"]

    make.backend = shared_pair((ASKS, PLAIN), "").backend
    return make


def test_a_bound_token_passes_with_a_proof_and_the_backend_sees_neither(call, holder):
    token = holder.token()
    answer, _ = call("/a?x=1", shown(token, holder.proof(token, URL)))
    assert answer.status == 200
    (request,) = call.backend.requests
    assert not {name.lower() for name, _ in request.headers} & {"dpop", "authorization"}


def test_an_api_that_asks_takes_no_other_token_and_says_how(call, holder):
    answer, reason = call("/a", [bearer()])
    assert (answer.status, answer.fault, reason) == (401, 900901, "auth.bound.unbound")
    assert answer.header("www-authenticate").startswith('DPoP realm="microgate", algs="ES256 ')
    token = holder.token()
    assert call("/a", [("Authorization", f"Bearer {token}")])[1] == "auth.bound.scheme"
    plain = mint()
    assert call("/a", shown(plain, holder.proof(plain, URL)))[1] == "auth.bound.unbound"


def test_a_bound_token_is_worth_nothing_at_an_api_that_does_not_ask(call, holder):
    token = holder.token()
    assert call("/plain/x", [("Authorization", f"Bearer {token}")])[1] == "auth.bound.scheme"
    answer, reason = call("/plain/x", shown(token, holder.proof(token, "http://gateway.test/plain/x")))
    assert (answer.status, reason) == (401, "auth.scheme")
    assert call("/plain/x", [bearer(cnf={"kid": "x"})])[1] == "auth.bound.confirmation"
    assert call("/plain/x", [bearer(cnf="x")])[1] == "auth.bound.confirmation"
    assert call("/plain/x", [bearer()])[0].status == 200


def _bad(holder):
    """(claims, header, reason) of proofs that are not good."""
    now = int(time.time())
    private = {**holder.jwk, "d": "AAAA"}
    return [
        ({"jti": None}, {}, "malformed"),
        ({"jti": ""}, {}, "malformed"),
        ({"jti": 1}, {}, "malformed"),
        ({"jti": "x" * 600}, {}, "malformed"),
        ({"jti": "\ud800"}, {}, "malformed"),
        ({"htm": "POST"}, {}, "request"),
        ({"htm": "get"}, {}, "request"),
        ({"htu": "http://gateway.test/b"}, {}, "request"),
        ({"htu": "https://gateway.test/a"}, {}, "request"),
        ({"htu": "http://other.test/a"}, {}, "request"),
        ({"htu": "/a"}, {}, "request"),
        ({"htu": ""}, {}, "request"),
        ({"iat": now - 120}, {}, "time"),
        ({"iat": now + 120}, {}, "time"),
        ({"iat": "now"}, {}, "malformed"),
        ({"iat": True}, {}, "malformed"),
        ({"iat": None}, {}, "malformed"),
        ({"ath": "x"}, {}, "token"),
        ({"ath": None}, {}, "malformed"),
        ({}, {"typ": "JWT"}, "malformed"),
        ({}, {"typ": None}, "malformed"),
        ({}, {"alg": "none"}, "algorithm"),
        ({}, {"alg": "HS256"}, "algorithm"),
        ({}, {"alg": "RS256"}, "algorithm"),
        ({}, {"jwk": private}, "key"),
        ({}, {"jwk": {"kty": "oct", "k": "AAAA"}}, "key"),
        ({}, {"jwk": {}}, "key"),
        ({}, {"jwk": {**holder.jwk, "x": "AAAA"}}, "key"),
        ({}, {"jwk": {**holder.jwk, "x": 5}}, "key"),
        ({}, {"jwk": {**holder.jwk, "kty": []}}, "key"),
        ({}, {"jwk": "x"}, "malformed"),
        ({}, {"crit": ["x"]}, "malformed"),
        ({}, {"jwk": Holder().jwk}, "holder"),
    ]


def test_no_bad_proof_passes(call, holder):
    token = holder.token()
    seen = [
        call("/a", shown(token, holder.proof(token, URL, header=header, **claims)))[1]
        for claims, header, _ in _bad(holder)
    ]
    assert seen == [f"auth.dpop.{reason}" for _, _, reason in _bad(holder)]
    good = holder.proof(token, URL)
    head, _, signature = good.rpartition(".")
    other = "A" if signature[5] != "A" else "B"
    bad = {
        f"{head}.{signature[:5]}{other}{signature[6:]}": "signature",
        f"{head}.": "malformed",
        head: "malformed",
        "x": "malformed",
        "..": "malformed",
        "x" * 6_000: "malformed",
        f"{good},{good}": "malformed",
    }
    assert {proof: call("/a", shown(token, proof))[1] for proof in bad} == {
        proof: f"auth.dpop.{reason}" for proof, reason in bad.items()
    }
    assert call("/a", shown(token))[1] == "auth.dpop.missing"
    assert call("/a", shown(token, good, holder.proof(token, URL)))[1] == "auth.dpop.repeated"
    answer, _ = call("/a", shown(holder.token(exp=1), good))
    assert answer.status == 401
    assert call.backend.requests == []
    answer, _ = call("/a", shown(token, "x"))
    assert 'error="invalid_dpop_proof"' in answer.header("www-authenticate")


def test_addresses_are_compared_after_normalising(call, holder):
    token = holder.token()
    for said in ("HTTP://GATEWAY.TEST:80/%61", "http://gateway.test/a?q=1#f", "http://gateway.test:80/a"):
        assert call("/a", shown(token, holder.proof(token, said)))[0].status == 200
    url = "http://gateway.test/b%20c"
    assert call("/b%20c", shown(token, holder.proof(token, url)))[0].status == 200


def test_a_proof_is_good_once_over_all_workers(gateway, holder):
    running = gateway(ASKS, settings="[runtimeConfig]\nworkers = 4\n")
    token = holder.token()

    def attempt(proof):
        with running.connect() as client:
            return client.request("GET", "/a", shown(token, proof)).status

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            proof = holder.proof(token, URL)
            statuses = list(pool.map(attempt, [proof] * 16))
            assert statuses.count(200) <= 1
            assert set(statuses) <= {200, 401}
        fresh = [holder.proof(token, URL) for _ in range(40)]
        assert list(pool.map(attempt, fresh)) == [200] * 40
        assert list(pool.map(attempt, fresh)) == [401] * 40
    assert "microgate_proofs_replayed_total" in running.metrics()


def test_a_nonce_is_given_and_asked_for(gateway, holder):
    running = gateway(ASKS, settings="[dpopConfig]\nrequireNonce = true\n")
    token = holder.token()
    with running.connect() as client:
        answer = client.request("GET", "/a", shown(token, holder.proof(token, URL)))
        assert answer.status == 401
        assert 'error="use_dpop_nonce"' in answer.header("www-authenticate")
        nonce = answer.header("dpop-nonce")
        assert client.request("GET", "/a", shown(token, holder.proof(token, URL, nonce=nonce))).status == 200
        assert client.request("GET", "/a", shown(token, holder.proof(token, URL, nonce=nonce[:-1]))).status == 401


def test_a_proof_that_was_used_before_a_restart_is_not_taken_after_it(gateway, holder):
    settings = "[dpopConfig]\nnonceAfterStart = true\n"
    token = holder.token()

    def ask(running, **claims):
        proof = holder.proof(token, URL, **claims)
        with running.connect() as client:
            return proof, client.request("GET", "/a", shown(token, proof))

    first = gateway(ASKS, settings=settings)
    _, answer = ask(first)
    assert 'error="use_dpop_nonce"' in answer.header("www-authenticate")
    ahead = int(time.time()) + 20
    used, answer = ask(first, nonce=answer.header("dpop-nonce"), iat=ahead)
    assert answer.status == 200
    first.stop()
    second = gateway(ASKS, settings=settings)
    with second.connect() as client:
        refused = client.request("GET", "/a", shown(token, used))
    assert refused.status == 401
    assert ask(second, nonce=refused.header("dpop-nonce"))[1].status == 200


def test_origins_of_the_settings_count_in_place_of_the_host(gateway, holder):
    running = gateway(ASKS, settings='[dpopConfig]\norigins = ["https://api.example.com"]\n')
    token = holder.token()
    with running.connect() as client:
        for origin, status in (("https://api.example.com", 200), ("http://gateway.test", 401)):
            assert client.request("GET", "/a", shown(token, holder.proof(token, f"{origin}/a"))).status == status


def test_a_token_bound_to_a_certificate_needs_that_certificate(gateway, tmp_path, identity):
    certified = Certified(gateway, tmp_path, identity)
    running = certified.start(x_microgate_bound_tokens="certificate")
    own, other = certified.root.issue("own"), certified.root.issue("other")
    bound = bearer(cnf={"x5t#S256": own.thumbprint})
    assert certified.call(own, bound) == (200, None)
    assert certified.call(other, bound) == (401, 900901)
    assert certified.call(None, bound) == (401, 900901)
    assert certified.call(own, bearer()) == (401, 900901)
    with running.connect() as client:
        assert client.get("/a", bound).status == 401
    reasons = [line["reason"] for line in running.log_lines(5)]
    assert reasons == ["", *["auth.bound.certificate"] * 2, "auth.bound.unbound", "auth.bound.certificate"]


def test_any_takes_either_way(gateway, tmp_path, identity, holder):
    certified = Certified(gateway, tmp_path, identity)
    certified.start(x_microgate_bound_tokens="any")
    own = certified.root.issue("own")
    assert certified.call(own, bearer(cnf={"x5t#S256": own.thumbprint})) == (200, None)
    token = holder.token()
    assert certified.call(None, *shown(token, holder.proof(token, "https://gateway.test/a"))) == (200, None)
    both = holder.token(cnf={"x5t#S256": own.thumbprint, "jkt": holder.thumbprint})
    proof = holder.proof(both, "https://gateway.test/a")
    assert certified.call(None, *shown(both, proof)) == (401, 900901)
    assert certified.call(own, ("Authorization", f"Bearer {both}")) == (401, 900901)
    assert certified.call(own, *shown(both, proof)) == (200, None)
