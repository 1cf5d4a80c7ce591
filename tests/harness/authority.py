"""Certificate authorities for tests, and the certificates of clients that they vouch for, good and bad."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass
class Identity:
    """A certificate with its key, and the certificates that lead from it to an authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def hexadecimal(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def thumbprint(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.der).digest()).rstrip(b"=").decode()

    @property
    def in_header(self) -> str:
        """As nginx passes it on: $ssl_client_escaped_cert."""
        return quote(self.pem.decode(), safe="")

    def issue(
        self,
        name: str,
        *,
        days: tuple[float, float] = (-1, 1),
        purpose: x509.ObjectIdentifier | None = CLIENT,
        authority: bool = False,
        names: tuple[x509.GeneralName, ...] = (),
    ) -> Identity:
        return make(name, self, days=days, purpose=purpose, authority=authority, names=names)

    def revoke(self, *revoked: Identity, days: tuple[float, float] = (-1, 1), number: int = 1) -> bytes:
        """A revocation list as PEM."""
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now + dt.timedelta(days=days[0], seconds=number))
            .next_update(now + dt.timedelta(days=days[1]))
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def files(self, folder: Path, name: str) -> tuple[Path, Path]:
        """(certificate with chain, key) as PEM files."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        certificate.write_bytes(self.pem + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in self.chain))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key

    def context(self, folder: Path, server: Path, *, tls12: bool = False) -> ssl.SSLContext:
        """For a client that shows this certificate to a server with the other one."""
        context = ssl.create_default_context(cafile=str(server))
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self.files(folder, f"{self.hexadecimal[:16]}"))
        return context


def make(
    name: str,
    issuer: Identity | None = None,
    *,
    days: tuple[float, float] = (-1, 1),
    purpose: x509.ObjectIdentifier | None = None,
    authority: bool = False,
    names: tuple[x509.GeneralName, ...] = (),
) -> Identity:
    """A certificate; without an issuer it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    chain = (issuer.certificate, *issuer.chain) if issuer else ()
    return Identity(certificate, key, chain)


def authority(name: str) -> Identity:
    return make(name, authority=True)
