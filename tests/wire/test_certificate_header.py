"""The certificate that a proxy passes on in a header: from whom it counts, in which forms, and that it is proved (case 16)."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import pytest

from harness.authority import CLIENT, SERVER, authority, make
from harness.certified import ALERT, Certified, listing

NAME = "X-WSO2-CLIENT-CERTIFICATE"
OPEN = {"secured": False, "x_wso2_mutual_ssl": "mandatory"}
TRUSTS = 'trustedProxies = ["127.0.0.1"]'
ALONE = "isClientCertificateValidationEnabled = false\n"


@pytest.fixture
def certified(gateway, tmp_path, identity):
    return Certified(gateway, tmp_path, identity)


def _plain(certified, *fields):
    """(status, reason) of a call without TLS of our own, as a proxy makes it."""
    log = certified.running.access_log
    seen = log.read_bytes().count(b"\n") if log.exists() else 0
    with certified.running.connect() as client:
        status = client.get("/a", ("X-Forwarded-Proto", "https"), *fields).status
    return status, certified.running.log_lines(seen + 1)[seen]["reason"]


def test_case_16_the_header_of_a_stranger_is_ignored(certified):
    client = certified.root.issue("client")
    certified.start(mutual=ALONE, **OPEN)
    for name in (NAME, NAME.lower(), NAME.replace("-", "_")):
        assert certified.call(None, (name, client.in_header)) == (401, 900901)
    other = make("other")
    assert certified.call(client, (NAME, other.in_header)) == (200, None)


def test_case_16_the_header_of_a_trusted_proxy_is_taken(certified, backend):
    client = certified.root.issue("client")
    certified.start(listener=TRUSTS, mutual=ALONE, **OPEN)
    assert _plain(certified, (NAME, client.in_header)) == (200, "")
    assert certified.running.log_lines(1)[0]["consumer"] == "client"
    assert _plain(certified) == (401, "auth.mutual_tls.missing")
    assert _plain(certified, (NAME, "")) == (401, "auth.mutual_tls.missing")


def test_the_certificate_of_a_proxy_is_not_its_clients(certified):
    """A proxy that shows its own and passes none on speaks for a client without one."""
    proxy, client = certified.root.issue("proxy"), certified.root.issue("client")
    certified.start(listener=TRUSTS, **OPEN)
    assert certified.call(proxy) == (401, 900901)
    assert certified.call(proxy, (NAME, client.in_header)) == (200, None)
    assert certified.running.log_lines(2)[1]["consumer"] == "client"
    assert _plain(certified, (NAME, client.in_header)) == (401, "auth.mutual_tls.proxy")
    assert certified.call(make("proxy", purpose=CLIENT), (NAME, client.in_header)) == ALERT


def test_proxies_write_certificates_in_many_ways(certified):
    client = certified.root.issue("client")
    certified.start(listener=TRUSTS, mutual=ALONE, **OPEN)
    pem, encoded = client.pem.decode(), base64.b64encode(client.der).decode()
    forms = [
        quote(pem, safe=""),
        quote(pem),
        quote_plus(pem),
        pem.strip().replace("\n", " "),
        pem.strip().replace("\n", "\t"),
        encoded,
        quote(encoded, safe=""),
        f":{encoded}:",
    ]
    assert [_plain(certified, (NAME, form))[0] for form in forms] == [200] * len(forms)


def test_r13_only_good_certificates_pass_in_a_header(certified):
    root = certified.root
    between = root.issue("between", authority=True, purpose=None)
    below = between.issue("below")
    good = root.issue("good")
    chain = quote((below.pem + between.pem).decode(), safe="")
    certified.start(listener=TRUSTS, mutual=ALONE, **OPEN)
    assert _plain(certified, (NAME, good.in_header)) == (200, "")
    assert _plain(certified, (NAME, chain)) == (200, "")
    assert _plain(certified, (NAME, root.issue("no purpose", purpose=None).in_header)) == (200, "")
    forged = authority("root")
    bad = {
        below.in_header: "untrusted",
        root.issue("good", days=(-2, -1)).in_header: "expired",
        root.issue("good", days=(1, 2)).in_header: "not_yet_valid",
        root.issue("good", purpose=SERVER).in_header: "untrusted",
        make("good", purpose=CLIENT).in_header: "untrusted",
        forged.issue("good").in_header: "untrusted",
        quote((good.issue("x").pem + good.pem).decode(), safe=""): "untrusted",
        quote((forged.issue("x").pem + root.pem).decode(), safe=""): "untrusted",
        good.in_header[:-60]: "malformed",
        quote(good.pem.decode() + "x", safe=""): "malformed",
        ":AAAA:": "malformed",
        ":A": "malformed",
        "x": "malformed",
        "%00": "malformed",
        "-----BEGIN CERTIFICATE-----": "malformed",
    }
    seen = {value: _plain(certified, (NAME, value)) for value in bad}
    assert seen == {value: (401, f"auth.mutual_tls.{reason}") for value, reason in bad.items()}
    assert _plain(certified, (NAME, good.in_header), (NAME, good.in_header)) == (401, "auth.repeated")


def test_rfc_9440_fields_are_read_with_their_chain(certified):
    between = certified.root.issue("between", authority=True, purpose=None)
    below = between.issue("below")
    certified.start(listener=TRUSTS, mutual=f'certificateHeaderName = "Client-Cert"\n{ALONE}', **OPEN)
    one, above = (f":{base64.b64encode(der).decode()}:" for der in (below.der, between.der))
    root = f":{base64.b64encode(certified.root.der).decode()}:"
    assert _plain(certified, ("Client-Cert", one), ("Client-Cert-Chain", f"{above}, {root}")) == (200, "")
    assert _plain(certified, ("Client-Cert", one)) == (401, "auth.mutual_tls.untrusted")
    assert _plain(certified, ("Client-Cert", one), ("Client-Cert-Chain", "x"))[1] == "auth.mutual_tls.malformed"


def test_an_api_lists_certificates_of_headers_too(certified):
    listed, other = certified.root.issue("listed"), certified.root.issue("other")
    certified.start(listener=TRUSTS, mutual=ALONE + listing(f'thumbprints = ["{listed.hexadecimal}"]'), **OPEN)
    assert _plain(certified, (NAME, listed.in_header)) == (200, "")
    assert _plain(certified, (NAME, other.in_header)) == (401, "auth.mutual_tls.not_listed")
