"""Key stores and PEM files as users have them, good and bad, and the development certificate."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from microgate.errors import KeyMaterialError
from microgate.runtime.security.keystore import load_key_store, load_pem, self_signed_certificate
from microgate.settings.model import SHIPPED_TRUST_STORE

PASSWORD = "ballerina"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)
PEM = serialization.Encoding.PEM


class Identity:
    """A key and a certificate, signed by `signer` or by itself."""

    def __init__(self, name: str, signer: Identity | None = None, *, until: dt.datetime = NOW + DAY) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = signer or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(above.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 10 * DAY)
            .not_valid_after(until)
            .sign(above.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(PEM)

    def key_pem(self, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(PEM, form, encryption or serialization.NoEncryption())


@pytest.fixture(scope="module")
def root() -> Identity:
    return Identity("root")


@pytest.fixture(scope="module")
def intermediate(root) -> Identity:
    return Identity("intermediate", root)


@pytest.fixture(scope="module")
def server(intermediate) -> Identity:
    return Identity("server", intermediate)


def store(tmp_path, identity, above=(), *, password=PASSWORD, alias=b"ballerina"):
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    authorities = [one.certificate for one in above]
    path = tmp_path / "store.p12"
    path.write_bytes(
        pkcs12.serialize_key_and_certificates(alias, identity.key, identity.certificate, authorities, encryption)
    )
    return path


def trust_store(tmp_path, **certificates):
    entries = [pkcs12.PKCS12Certificate(one.certificate, alias.encode()) for alias, one in certificates.items()]
    path = tmp_path / "trust.p12"
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    path.write_bytes(pkcs12.serialize_java_truststore(entries, encryption))
    return path


def test_a_key_store_gives_key_and_chain_in_order_without_the_root(tmp_path, server, intermediate, root):
    loaded = load_key_store(store(tmp_path, server, [root, intermediate]), PASSWORD)
    assert loaded.certificate_chain == server.pem + intermediate.pem
    assert loaded.private_key == server.key_pem()
    assert loaded.find("Ballerina") == server.pem
    assert loaded.warnings == ()
    # What it gives serves TLS as it is.
    both = tmp_path / "both.pem"
    both.write_bytes(loaded.certificate_chain + loaded.private_key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(both)


def test_a_trust_store_of_java_gives_its_certificates_by_alias(tmp_path, server, root):
    loaded = load_key_store(trust_store(tmp_path, wso2apim310=server, other=root), PASSWORD)
    assert loaded.certificates == {"wso2apim310": server.pem, "other": root.pem}
    assert (loaded.private_key, loaded.certificate_chain) == (b"", b"")
    assert loaded.find("missing") is None


def test_a_certificate_without_alias_is_named_by_its_number(tmp_path, server, root):
    loaded = load_key_store(store(tmp_path, server, [root], alias=None), PASSWORD)
    assert list(loaded.certificates) == ["1", "2"]


def test_a_store_may_have_no_password(tmp_path, root):
    assert load_key_store(store(tmp_path, root, password=""), "").certificate_chain == root.pem


def test_an_expired_certificate_is_a_warning(tmp_path):
    old = Identity("old", until=NOW - DAY)
    warnings = load_key_store(store(tmp_path, old), PASSWORD).warnings
    assert [(NOW - DAY).strftime("expired on %Y-%m-%d") in one for one in warnings] == [True]


def bad_stores(tmp_path, identity):
    """What a user may name as a key store, by file name."""
    good = store(tmp_path, identity).read_bytes()
    return {
        "truncated.p12": (good[: len(good) // 2], "cannot open the key store", "keytool -importkeystore"),
        "java.jks": (b"\xfe\xed\xfe\xed\x00\x00\x00\x02", "Java's own form (JKS)", "keytool -importkeystore"),
        "java.jceks": (b"\xce\xce\xce\xce\x00\x00\x00\x02", "Java's own form (JKS)", "-deststoretype PKCS12"),
        "server.pem": (
            identity.pem,
            "it is a PEM file",
            "`certificateFile` and `privateKeyFile`, or convert it: openssl",
        ),
        "empty.p12": (b"", "it is empty", "keytool -importkeystore"),
        "text.p12": (b"hello\n", "it is no PKCS#12 store", "keytool -importkeystore"),
        "der.p12": (identity.certificate.public_bytes(serialization.Encoding.DER), "cannot open", "keytool"),
    }


def test_every_unusable_store_is_one_line_and_says_what_to_do(tmp_path, server):
    for name, (content, message, hint) in bad_stores(tmp_path, server).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(KeyMaterialError) as raised:
            load_key_store(path, PASSWORD)
        assert message in str(raised.value), name
        assert hint in raised.value.hint, name
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_missing_store_a_folder_and_a_wrong_password_name_the_command_that_converts(tmp_path, server):
    path = store(tmp_path, server)
    missing, java = tmp_path / "none.p12", tmp_path / "my store.jks"
    rows = [
        (path, "wrong", "the password is wrong or the file is damaged", path, path.with_name("store-new.p12")),
        (path, "", "the password is wrong or the file is damaged", path, path.with_name("store-new.p12")),
        (missing, PASSWORD, "no such file", missing.with_suffix(".jks"), missing),
        (java, PASSWORD, "no such file", f"'{java}'", f"'{java.with_suffix('.p12')}'"),
        (tmp_path, PASSWORD, "is a directory", tmp_path, tmp_path.with_suffix(".p12")),
    ]
    for file, password, message, source, target in rows:
        with pytest.raises(KeyMaterialError, match=message) as raised:
            load_key_store(file, password)
        command = f"keytool -importkeystore -srckeystore {source} -destkeystore {target} -deststoretype PKCS12"
        assert raised.value.hint.endswith(command)


def test_the_store_that_3x_shipped_is_missed_in_words_that_help():
    with pytest.raises(KeyMaterialError, match="no such file") as raised:
        load_key_store(Path(SHIPPED_TRUST_STORE), PASSWORD, "trust store")
    assert str(raised.value).startswith("cannot read the trust store `")
    assert "MGW_HOME" in raised.value.hint
    assert "keytool -importkeystore -srckeystore ballerinaTruststore.jks " in raised.value.hint


def test_damaged_stores_never_end_in_a_traceback(tmp_path, server):
    good = store(tmp_path, server).read_bytes()
    path = tmp_path / "damaged.p12"
    for position in range(0, len(good), 23):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x55]) + good[position + 1 :])
        try:
            load_key_store(path, PASSWORD)
        except KeyMaterialError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most, but not all, changes are errors


def test_pem_files_that_belong_together_are_taken_as_they_are(tmp_path, server, intermediate):
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(server.pem + intermediate.pem)
    key.write_bytes(server.key_pem())
    loaded = load_pem(certificate, key)
    assert (loaded.certificate_chain, loaded.private_key) == (certificate.read_bytes(), key.read_bytes())


def test_pem_files_that_cannot_serve_say_why(tmp_path, server, root):
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    encrypted = server.key_pem(serialization.BestAvailableEncryption(b"x"))
    rows = [
        (server.pem, root.key_pem(), "does not belong to the certificate", "its chain after it"),
        (server.pem, encrypted, "it is encrypted", "openssl pkey"),
        (server.key_pem(), server.pem, "it is a private key", "swapped"),
        (b"hello", server.key_pem(), "no PEM certificate", ""),
        (server.pem, server.pem, "it is no PEM private key", ""),
        (server.pem[:200] + server.pem[-30:], server.key_pem(), "cannot use the certificate", ""),
        (server.pem, server.key_pem()[:60] + server.key_pem()[-30:], "cannot use the private key", ""),
        (server.pem, b"", "it is empty", ""),
    ]
    for chain, private, message, hint in rows:
        certificate.write_bytes(chain)
        key.write_bytes(private)
        with pytest.raises(KeyMaterialError) as raised:
            load_pem(certificate, key)
        assert message in str(raised.value)
        assert hint in raised.value.hint
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "names", "addresses"),
    [
        ("0.0.0.0", {"localhost"}, {"127.0.0.1", "::1"}),
        ("::", {"localhost"}, {"127.0.0.1", "::1"}),
        ("10.1.2.3", {"localhost"}, {"127.0.0.1", "::1", "10.1.2.3"}),
        ("gateway.example", {"localhost", "gateway.example"}, {"127.0.0.1", "::1"}),
        ("", {"localhost"}, {"127.0.0.1", "::1"}),
    ],
)
def test_the_development_certificate_is_good_for_loopback_and_the_host(host, names, addresses):
    certificate, key = self_signed_certificate(host)
    parsed = x509.load_pem_x509_certificate(certificate)
    alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(alternatives.get_values_for_type(x509.DNSName)) == names
    assert {str(one) for one in alternatives.get_values_for_type(x509.IPAddress)} == addresses
    assert parsed.not_valid_before_utc < NOW < parsed.not_valid_after_utc
    private = serialization.load_pem_private_key(key, None)
    assert private.public_key() == parsed.public_key()


def test_a_store_that_keytool_made_is_read():
    """keytool -genkeypair -alias Server -keyalg EC -dname CN=localhost -validity 36500 -storetype PKCS12"""
    loaded = load_key_store(Path(__file__).with_name("keytool.p12"), PASSWORD)
    assert loaded.find("SERVER") == loaded.certificate_chain
    assert b"PRIVATE KEY" in loaded.private_key
