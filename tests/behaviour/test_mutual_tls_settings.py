"""What the settings say of clients' certificates: trust stores of 3.x, a listener that requires one, and what stops the start."""

from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from harness.authority import CLIENT, make
from harness.certified import ALERT, Certified, listing
from harness.client import Client
from harness.descriptions import describe

OPEN = {"secured": False, "x_wso2_mutual_ssl": "mandatory"}
MANDATORY = describe(["/a"], title="Shop", x_wso2_mutual_ssl="mandatory")


@pytest.fixture
def certified(gateway, tmp_path, identity):
    return Certified(gateway, tmp_path, identity)


@pytest.fixture
def store(tmp_path):
    """A trust store as keytool makes one, and the settings that name it."""

    def make_store(**identities):
        path = tmp_path / "trust.p12"
        entries = [pkcs12.PKCS12Certificate(one.certificate, name.encode()) for name, one in identities.items()]
        path.write_bytes(pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(b"secret")))
        return f'trustStorePath = "{path}"\ntrustStorePassword = "secret"\n'

    return make_store


def test_a_trust_store_with_self_signed_clients_works_as_under_3x(certified, store):
    partner, other, authority = make("partner", purpose=CLIENT), make("other"), certified.root
    running = certified.start(
        MANDATORY,
        describe(["/b"], title="Unlisted", base="/b", x_wso2_mutual_ssl="mandatory"),
        listener=store(Partner=partner, other=other, root=authority),
        mutual='trustedCertificatesFile = ""\n' + listing('aliasList = ["PARTNER"]'),
    )
    assert certified.call(partner) == (200, None)
    assert certified.call(other) == (401, 900901)
    assert certified.call(authority.issue("partner")) == (401, 900901)
    assert certified.call(make("partner", purpose=CLIENT)) == ALERT
    assert certified.call(partner, path="/b/b") == (401, 900901)
    assert "no certificate may call the API `Unlisted` 1.0.0" in running.output
    assert running.log_lines(4)[0]["consumer"] == "partner"


def test_a_listener_can_require_certificates_of_everybody(certified):
    running = certified.start(describe(["/a"]), mutual='sslVerifyClient = "require"')
    assert certified.call(None) == ALERT
    assert certified.call(make("stranger")) == ALERT
    assert certified.call(certified.root.issue("client")) == (200, None)
    with running.connect() as client:
        assert client.get("/a").status == 200


def test_nobody_is_asked_where_no_api_uses_certificates(certified):
    running = certified.start(describe(["/a"]))
    with Client(running.https, tls=certified.tls(make("any"))) as client:
        assert client.get("/a").status == 200
    with Client(running.https, tls=certified.tls(make("any"), tls12=True)) as client:
        assert client.get("/a").status == 200


def test_a_certificate_by_server_name_asks_too(certified, tmp_path):
    """The context that a server name chooses has the same authorities."""
    more = make("second.test", authority=True)
    certificate, key = more.files(tmp_path, "second")
    running = certified.start(
        MANDATORY,
        listener=f'[[listenerConfig.certificates]]\ncertificateFile = "{certificate}"\nprivateKeyFile = "{key}"\n',
    )
    for client, status in ((certified.root.issue("client"), 200), (None, 401)):
        context = certified.tls(client)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with Client(running.https, tls=context, server_name="second.test") as connection:
            assert connection.get("/a").status == status


@pytest.mark.parametrize(
    ("mutual", "message"),
    [
        ('trustedCertificatesFile = "nowhere.pem"', "cannot read the trusted certificates `nowhere.pem`: no such file"),
        ('trustedCertificatesFile = "micro-gw.conf"', "it holds no PEM certificates"),
        ('trustedCertificatesFile = ""', "set `mutualSSLConfig.trustedCertificatesFile`"),
        ('crlFiles = ["nowhere.crl"]', "cannot read the revocation list `nowhere.crl`"),
        ('crlFiles = ["micro-gw.conf"]', "it is no list in PEM or DER form"),
        (listing('aliasList = ["x"]'), "cannot prove certificates of clients: "),
        (listing(""), "lists no certificate of `SHOP`"),
        (listing('thumbprints = ["AB"]'), "which is no SHA-256 in hexadecimal"),
        (listing('subjects = ["CN=a"]', name="Shpo"), "`Shpo` 1.0.0, which is no API, and not `Shop` 1.0.0"),
    ],
)
def test_what_cannot_be_proved_stops_the_start(certified, mutual, message):
    with pytest.raises(AssertionError) as raised:
        certified.start(MANDATORY, mutual=mutual)
    assert message in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_an_alias_that_is_not_there_stops_the_start(certified, store):
    listener = store(partner=make("partner"))
    with pytest.raises(AssertionError, match="names `partnr`, which the trust store"):
        certified.start(MANDATORY, listener=listener, mutual=listing('aliasList = ["partnr"]'))


def test_a_list_of_a_foreign_signer_stops_the_start(certified, tmp_path):
    lists = tmp_path / "revoked.crl"
    forged = make("root", authority=True)
    lists.write_bytes(forged.revoke())
    with pytest.raises(AssertionError, match="its signature is not its issuer's"):
        certified.start(MANDATORY, mutual=f'crlFiles = ["{lists}"]')
