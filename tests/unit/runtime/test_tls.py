"""Names out of certificates, and certificates that follow their files only when these prove good and hold still."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.credentials import ServerIdentity
from microgate.errors import KeyMaterialError
from microgate.runtime.tls import ServerTls, server_names
from microgate.settings.model import Listener

if TYPE_CHECKING:
    from pathlib import Path


def certificate(common_name: str, names: list[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("common_name", "names", "found"),
    [
        ("a.test", ["b.test", "*.C.test"], ["b.test", "*.c.test"]),
        ("A.test", [], ["a.test"]),
    ],
)
def test_the_names_of_a_certificate_are_its_alternative_names_before_the_common_one(
    common_name: str, names: list[str], found: list[str]
):
    chain = b"text before\n" + certificate(common_name, names) + certificate("issuer.test", [])
    assert server_names(chain) == found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[ServerIdentity]:
    return [ServerIdentity(tmp_path_factory.mktemp("identity")) for _ in range(2)]


@pytest.fixture
def listener(tmp_path: Path, made: list[ServerIdentity]) -> Listener:
    shutil.copy(made[0].certificate_file, tmp_path / "server.crt")
    shutil.copy(made[0].private_key_file, tmp_path / "server.key")
    return Listener(
        certificate_file=str(tmp_path / "server.crt"), private_key_file=str(tmp_path / "server.key"), https_port=0
    )


def test_a_change_is_loaded_once_it_holds_still(tmp_path: Path, listener: Listener, made: list[ServerIdentity]):
    (certificate,) = ServerTls(listener).certificates
    assert not certificate.refresh()
    shutil.copy(made[1].certificate_file, tmp_path / "server.crt")
    assert not certificate.refresh()
    shutil.copy(made[1].private_key_file, tmp_path / "server.key")
    assert [certificate.refresh() for _ in range(3)] == [False, True, False]


def test_a_change_that_does_not_prove_good_is_told_once_and_the_last_good_stays(
    tmp_path: Path, listener: Listener, made: list[ServerIdentity], caplog: pytest.LogCaptureFixture
):
    (certificate,) = ServerTls(listener).certificates
    before = certificate.pem
    shutil.copy(made[1].certificate_file, tmp_path / "server.crt")
    assert [certificate.refresh(settled=True) for _ in range(3)] == [False, False, False]
    assert certificate.pem == before
    assert len([record for record in caplog.records if "stays in use" in record.getMessage()]) == 1
    (tmp_path / "server.crt").unlink()
    assert not certificate.refresh(settled=True)
    assert certificate.pem == before
    shutil.copy(made[1].private_key_file, tmp_path / "server.key")
    shutil.copy(made[1].certificate_file, tmp_path / "server.crt")
    assert certificate.refresh(settled=True)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_files_that_are_no_certificate_are_an_error_with_their_name(tmp_path: Path, listener: Listener, broken: bytes):
    (tmp_path / "server.crt").write_bytes(broken)
    with pytest.raises(KeyMaterialError, match=r"server\.crt"):
        ServerTls(listener)


def test_an_encrypted_key_is_an_error_and_asks_nobody(tmp_path: Path, listener: Listener):
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(KeyMaterialError, match="encrypted"):
        ServerTls(listener)
