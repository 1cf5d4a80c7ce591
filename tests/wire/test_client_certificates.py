"""Certificates of clients: which are taken, in the handshake and from a proxy's header, and what an API demands of them (R13)."""

from __future__ import annotations

import pytest
from cryptography import x509

from harness.authority import CLIENT, SERVER, authority, make
from harness.certified import ALERT, Certified, listing
from harness.client import Client
from harness.credentials import bearer
from harness.waiting import wait_until

NAMES = (x509.DNSName("client.test"), x509.UniformResourceIdentifier("spiffe://test/a"))
OPEN = {"secured": False, "x_wso2_mutual_ssl": "mandatory"}
TOKENS = {"security-types": ["jwt"]}


@pytest.fixture
def certified(gateway, tmp_path, identity):
    return Certified(gateway, tmp_path, identity)


def test_r13_only_good_certificates_pass(certified):
    running = certified.start(**OPEN)
    root = certified.root
    between = root.issue("between", authority=True, purpose=None)
    forged = authority("root")
    good = root.issue("good", names=NAMES)
    for tls12 in (False, True):
        assert certified.call(good, tls12=tls12) == (200, None)
    assert certified.call(root.issue("no purpose", purpose=None)) == (200, None)
    assert certified.call(between.issue("below an intermediate")) == (200, None)
    bad = {
        "expired": root.issue("good", days=(-2, -1)),
        "not yet valid": root.issue("good", days=(1, 2)),
        "wrong purpose": root.issue("good", purpose=SERVER),
        "self-signed of the same name": make("good", purpose=CLIENT),
        "of another root of the same name": forged.issue("good"),
        "below a client": good.issue("good"),
        "below another root's intermediate": forged.issue("between", authority=True).issue("good"),
    }
    for tls12 in (False, True):
        assert {name: certified.call(client, tls12=tls12) for name, client in bad.items()} == dict.fromkeys(bad, ALERT)
    assert certified.call(None) == (401, 900901)
    with Client(running.https, tls=certified.tls(None)) as client:
        said = client.get("/a").body
    assert b"Make sure you have given a client certificate that this API accepts" in said
    assert "the certificate of a client was refused: " in running.output
    count = f"microgate_client_certificates_refused_total {2 * len(bad)}"
    wait_until(lambda: count in running.metrics(), "they are counted")


def test_weakness_23_a_mandatory_certificate_is_checked_whatever_else_is_shown(certified):
    certified.start(x_wso2_mutual_ssl="mandatory", x_wso2_application_security={**TOKENS, "optional": True})
    client = certified.root.issue("client")
    assert certified.call(None, bearer()) == (401, 900901)
    assert certified.call(client) == (200, None)
    assert certified.call(client, bearer()) == (200, None)
    assert certified.call(client, ("Authorization", "Bearer a.b.c")) == (401, 900901)
    assert [line["consumer"] for line in certified.running.log_lines(4)][:3] == ["", "client", "tester"]


def test_a_mandatory_certificate_comes_beside_a_credential(certified):
    certified.start(x_wso2_mutual_ssl="mandatory", x_wso2_application_security=TOKENS)
    client = certified.root.issue("client")
    assert certified.call(client) == (401, 900902)
    assert certified.call(client, bearer()) == (200, None)
    assert certified.call(None, bearer()) == (401, 900901)


def test_weakness_14_an_optional_certificate_must_be_good_and_listed_where_one_is_shown(certified):
    listed, other = certified.root.issue("listed"), certified.root.issue("other")
    running = certified.start(
        mutual=listing(f'thumbprints = ["{listed.hexadecimal}"]'),
        x_wso2_mutual_ssl="optional",
        x_wso2_application_security=TOKENS,
    )
    assert certified.call(None, bearer()) == (200, None)
    assert certified.call(listed, bearer()) == (200, None)
    assert certified.call(other, bearer()) == (401, 900901)
    assert certified.call(listed) == (401, 900902)
    assert running.log_lines(3)[2]["reason"] == "auth.mutual_tls.not_listed"


def test_a_subject_may_be_listed_in_place_of_a_certificate(certified):
    certified.start(mutual=listing('subjects = ["CN=team"]'), **OPEN)
    assert certified.call(certified.root.issue("team")) == (200, None)
    assert certified.call(certified.root.issue("other team")) == (401, 900901)
    assert certified.call(authority("stranger").issue("team")) == ALERT
