"""Key material as PEM: out of PKCS#12 stores and PEM files, and a self-signed certificate for development.

TLS takes the server's key from here, the verification of tokens its certificates by alias. `cryptography` is imported only
when a function needs it. Nothing is written to disk.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates
    from cryptography.x509 import Certificate, GeneralName

MAX_BYTES = 8 * 1024 * 1024
DEVELOPMENT_DAYS = 365
# The first bytes of stores in Java's own forms (JKS, JCEKS).
_JAVA_MAGIC = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")


class KeyStore(NamedTuple):
    """What a store holds, as PEM. The chain begins with the certificate of the private key; both are empty without one."""

    private_key: bytes
    certificate_chain: bytes
    certificates: dict[str, bytes]  # by alias; a certificate without one is named by its number, from 1
    warnings: tuple[str, ...] = ()

    def find(self, alias: str) -> bytes | None:
        """The certificate of an alias, in any case, as Java compares them."""
        for name, certificate in self.certificates.items():
            if name.lower() == alias.lower():
                return certificate
        return None


def load_key_store(path: Path, password: str, noun: str = "key store") -> KeyStore:
    """A PKCS#12 store, those that Java made for trusted certificates too; raises KeyMaterialError with one line.

    A store with several private keys gives the one that comes first in the file. `noun` is what messages call it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    data = _read_store(path, noun)
    _reject_other_forms(path, data, noun)
    try:
        return _from_pkcs12(_decrypt(data, password), path)
    except UnsupportedAlgorithm as error:
        raise KeyMaterialError(
            f"cannot open the {noun} `{path}`: {_first_line(error)}",
            hint=f"export it anew: {conversion(path)}",
        ) from None
    except ValueError as error:
        if "password" in str(error).lower() and data[:1] == b"\x30":
            raise KeyMaterialError(
                f"cannot open the {noun} `{path}`: the password is wrong or the file is damaged",
                hint=f"check the store's password in the settings, or export it anew: {conversion(path)}",
            ) from None
        raise KeyMaterialError(
            f"cannot open the {noun} `{path}`: it is no PKCS#12 store", hint=f"convert it: {conversion(path)}"
        ) from None


def load_pem(certificate_file: Path, private_key_file: Path) -> KeyStore:
    """A certificate with its chain and its key out of PEM files, proved to belong together; raises KeyMaterialError."""
    chain = _read(certificate_file, "the certificate")
    key = _read(private_key_file, "the private key")
    if b"-----BEGIN CERTIFICATE-----" not in chain:
        looks = "a private key" if b"PRIVATE KEY-----" in chain else "no PEM certificate"
        raise KeyMaterialError(
            f"cannot use the certificate `{certificate_file}`: it is {looks}",
            hint="check that the files are not swapped",
        )
    certificates = _certificates(chain, certificate_file)
    _prove(key, private_key_file, certificates[0], certificate_file)
    return KeyStore(key, chain, {}, _validity(certificates[:1], certificate_file))


def self_signed_certificate(host: str) -> tuple[bytes, bytes]:
    """(certificate, key) as PEM for development: good for localhost and `host`, for a year, with a P-256 key."""
    import datetime as dt

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A day of grace for clients whose clock is behind.
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=DEVELOPMENT_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _names(host: str) -> list[GeneralName]:
    import ipaddress

    from cryptography import x509

    names: list[GeneralName] = [x509.DNSName("localhost")]
    addresses = {"127.0.0.1", "::1"}
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            addresses.add(host)
    except ValueError:
        if host and host != "localhost" and host.isascii():
            names.append(x509.DNSName(host))
    return [*names, *(x509.IPAddress(ipaddress.ip_address(address)) for address in sorted(addresses))]


def _read_store(path: Path, noun: str) -> bytes:
    try:
        return _read(path, f"the {noun}")
    except KeyMaterialError as error:
        # Settings keep this placeholder for the stores that 3.x shipped, where there are none.
        if "${mgw-runtime.home}" in str(path):
            hint = (
                "3.x shipped this store and microgate does not: put yours there below MGW_HOME, or name its path in the "
                f"settings; a JKS store is converted by: {_from_java(path.name)}"
            )
            raise KeyMaterialError(str(error), hint) from None
        if path.is_file():
            raise KeyMaterialError(str(error), f"export it anew: {conversion(path)}") from None
        command = _from_java(str(path)) if path.suffix == ".p12" else conversion(path)
        hint = f"check the path in the settings; a JKS store is converted by: {command}"
        raise KeyMaterialError(str(error), hint) from None


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or "not a usable path").lower()
        raise KeyMaterialError(f"cannot read {what} `{path}`: {reason}") from None
    if not data or len(data) > MAX_BYTES:
        reason = f"larger than {MAX_BYTES} bytes" if data else "empty"
        raise KeyMaterialError(f"cannot read {what} `{path}`: it is {reason}")
    return data


def _reject_other_forms(path: Path, data: bytes, noun: str) -> None:
    if data.startswith(_JAVA_MAGIC):
        raise KeyMaterialError(
            f"cannot open the {noun} `{path}`: it has Java's own form (JKS)",
            hint=f"convert it: {conversion(path)}",
        )
    if b"-----BEGIN " in data[:4096]:
        source, target = shlex.quote(str(path)), shlex.quote(_beside(path))
        raise KeyMaterialError(
            f"cannot open the {noun} `{path}`: it is a PEM file, not a PKCS#12 store",
            hint="name PEM files in `certificateFile` and `privateKeyFile`, "
            f"or convert it: openssl pkcs12 -export -in {source} -out {target}",
        )


def conversion(path: Path) -> str:
    """The command that makes a PKCS#12 store of a store in any other form."""
    return _keytool(str(path), _beside(path))


def take_over(path: Path, alias: str) -> str:
    """The command that copies what an alias names out of another store into this one."""
    return f"{_keytool('OTHER.jks', str(path))} -srcalias {shlex.quote(alias)}"


def _from_java(target: str) -> str:
    return _keytool(target.removesuffix(".p12") + ".jks", target)


def _keytool(source: str, target: str) -> str:
    stores = f"-srckeystore {shlex.quote(source)} -destkeystore {shlex.quote(target)}"
    return f"keytool -importkeystore {stores} -deststoretype PKCS12"


def _beside(path: Path) -> str:
    """Where the converted store goes: never over the one it is made of."""
    return str(path.with_name(path.stem + "-new.p12") if path.suffix == ".p12" else path.with_suffix(".p12"))


def _decrypt(data: bytes, password: str) -> PKCS12KeyAndCertificates:
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    if password:
        return load_pkcs12(data, password.encode())
    try:
        return load_pkcs12(data, None)
    except ValueError:
        # "No password" and "the empty password" are two things in PKCS#12, and one to users.
        return load_pkcs12(data, b"")


def _from_pkcs12(store: PKCS12KeyAndCertificates, path: Path) -> KeyStore:
    from cryptography.hazmat.primitives import serialization

    entries = [one for one in (store.cert, *store.additional_certs) if one is not None]
    certificates: dict[str, bytes] = {}
    for number, entry in enumerate(entries, 1):
        alias = (entry.friendly_name or b"").decode("utf-8", "replace") or str(number)
        certificates.setdefault(alias, _pem(entry.certificate))
    if store.key is None or store.cert is None:
        return KeyStore(b"", b"", certificates)
    key = store.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = _chain(store.cert.certificate, [one.certificate for one in store.additional_certs])
    return KeyStore(key, b"".join(map(_pem, chain)), certificates, _validity(chain[:1], path))


def _chain(leaf: Certificate, others: list[Certificate]) -> list[Certificate]:
    """The leaf and who signed it, in order, without the root, which clients have or do not trust."""
    chain = [leaf]
    while chain[-1].issuer != chain[-1].subject:
        above = next((one for one in others if one.subject == chain[-1].issuer and one not in chain), None)
        if above is None or above.issuer == above.subject:
            break
        chain.append(above)
    return chain


def _pem(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _certificates(chain: bytes, path: Path) -> list[Certificate]:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except (ValueError, x509.InvalidVersion) as error:
        raise KeyMaterialError(f"cannot use the certificate `{path}`: {_first_line(error)}") from None


def _prove(key: bytes, key_path: Path, certificate: Certificate, path: Path) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in key or b"Proc-Type: 4,ENCRYPTED" in key:
        raise KeyMaterialError(
            f"cannot use the private key `{key_path}`: it is encrypted",
            hint=f"decrypt it: openssl pkey -in {key_path} -out {key_path}.plain",
        )
    if b"PRIVATE KEY-----" not in key:
        raise KeyMaterialError(f"cannot use the private key `{key_path}`: it is no PEM private key")
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyMaterialError(f"cannot use the private key `{key_path}`: {_first_line(error)}") from None
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise KeyMaterialError(
            f"the private key `{key_path}` does not belong to the certificate `{path}`",
            hint="the first certificate in the file must be the server's own, its chain after it",
        )


def _validity(certificates: Sequence[Certificate], path: Path) -> tuple[str, ...]:
    import datetime as dt

    now = dt.datetime.now(dt.UTC)
    warnings = []
    for certificate in certificates:
        if certificate.not_valid_after_utc < now:
            warnings.append(f"the certificate in `{path}` expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        elif certificate.not_valid_before_utc > now:
            warnings.append(
                f"the certificate in `{path}` is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}"
            )
    return tuple(warnings)


def _first_line(error: Exception) -> str:
    """A library's words on one line of ours."""
    words = str(error).split("\n", 1)[0].split(" See http", 1)[0].strip().rstrip(".")[:200]
    return words[:1].lower() + words[1:] if words else type(error).__name__
