"""TLS towards clients: contexts as Mozilla's "intermediate" guide has them, several certificates by server name, rotation.

The supervisor makes the contexts before the fork, so that a session resumes on any worker; each worker follows the files by
itself. Key material reaches OpenSSL through memory files and is never written to disk by us.
"""

from __future__ import annotations

import logging
import os
import ssl
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from microgate.errors import KeyMaterialError, about
from microgate.runtime.file_stamps import stamp_of
from microgate.runtime.security.keystore import conversion, load_key_store, load_pem, self_signed_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microgate.runtime.file_stamps import Stamp
    from microgate.runtime.security.certificates.client_trust import Demand
    from microgate.runtime.security.keystore import KeyStore
    from microgate.settings.model import Listener

log = logging.getLogger("microgate.tls")

# Mozilla server-side TLS guidelines 5.7, "intermediate"; TLS 1.3 has its own suites.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305"
)
PROTOCOLS = ("http/1.1",)
REFUSED_LOG_SECONDS = 10.0  # between two lines on certificates of clients: anybody can make them come
SHIPPED_KEY_STORE = "runtime/bre/security/ballerinaKeystore.p12"


def new_context() -> ssl.SSLContext:
    """A context without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # The guide leaves the choice to the client: all suites are good, and a phone knows whether it has AES in hardware.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(list(PROTOCOLS))
    return context


class Certificate:
    """A certificate with its key, and the context that serves it. `read` gives both as PEM; `files` is what it reads."""

    def __init__(self, label: str, files: tuple[Path, ...], read: Callable[[], bytes]) -> None:
        self.label = label
        self.context = new_context()
        self.pem = b""
        self._files = files
        self._read = read
        self._stamp = self._look()
        self._seen = self._stamp
        self._prove_and_load()

    def refresh(self, *, settled: bool = False) -> bool:
        """Load the files again if they have changed; True if the context serves a new certificate.

        A change must hold still from one call to the next, because certificate and key are two writes; `settled` says
        that it does. What does not prove good is reported once, and the last good certificate stays.
        """
        stamp = self._look()
        changing = stamp != self._seen and not settled
        self._seen = stamp
        if stamp == self._stamp or changing:
            return False
        self._stamp = stamp
        try:
            self._prove_and_load()
        except KeyMaterialError as error:
            log.error("%s; the last good certificate stays in use", error)  # noqa: TRY400 - the error is the user's
            return False
        log.info("a new certificate is in use: %s", self.label)
        return True

    def _look(self) -> Stamp:
        return stamp_of(self._files)

    def _prove_and_load(self) -> None:
        """A load that fails would leave the live context broken, so the bytes go through another one first."""
        pem = self._read()
        with _as_file(pem) as path:
            for context in (new_context(), self.context):
                _load(context, path, self.label)
        self.pem = pem


def _load(context: ssl.SSLContext, path: str, label: str) -> None:
    try:
        # An encrypted key is an error; without a password here, OpenSSL would ask the terminal for it.
        context.load_cert_chain(path, password="")
    except ssl.SSLError as error:
        raise KeyMaterialError(f"cannot use {label}: {error.reason.lower().replace('_', ' ')}") from error


@contextmanager
def _as_file(pem: bytes) -> Iterator[str]:
    """A path under which the bytes can be read for the time being: memory, or a private file where there is no such thing."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("microgate-key", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, pem)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="microgate-") as folder:
        file = Path(folder, "key.pem")
        file.touch(mode=0o600)
        file.write_bytes(pem)
        yield str(file)


class _RefusedCertificates:
    """Counts handshakes that failed for a client's certificate, and logs the first one in a while."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._said_at = -REFUSED_LOG_SECONDS
        self._unsaid = 0

    def hear(self, error: OSError) -> bool:
        """Whether a handshake failed for that."""
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message
        elif isinstance(error, ssl.SSLError) and error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
            why = "it showed none"
        else:
            return False
        self._count()
        now = monotonic()
        if now - self._said_at < REFUSED_LOG_SECONDS:
            self._unsaid += 1
            return True
        log.info("the certificate of a client was refused: %s (%d more since the last such line)", why, self._unsaid)
        self._said_at, self._unsaid = now, 0
        return True


class ServerTls:
    """The certificates of the TLS listener. `context` is for the listener; it hands over to another one by server name."""

    def __init__(self, listener: Listener) -> None:
        """Raise KeyMaterialError where a key, certificate or store cannot be used."""
        default = _default_certificate(listener)
        more = [
            _from_files(entry.certificate_file, entry.private_key_file, f"listenerConfig.certificates[{index}]")
            for index, entry in enumerate(listener.certificates)
        ]
        self.certificates = [default, *more]
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._handshakes: WeakSet[ssl.SSLObject] = WeakSet()  # weak: an abandoned one just goes away
        self.context = default.context
        if more:
            self._name()
            self.context.sni_callback = self._choose

    @property
    def handshakes(self) -> int:
        """Those that have begun in this process and are not over; `watch_handshakes` has been called."""
        return len(self._handshakes)

    def ask_clients(self, demand: Demand | None) -> None:
        """Ask the clients of this process for certificates from now on; None asks for none.

        All contexts must know the authorities, because one that is chosen by name brings its own; whether OpenSSL asks is
        the default context's word. A client's certificate may itself be an authority, as it may under 3.x.
        """
        for certificate in self.certificates:
            context = certificate.context
            if demand is None:
                context.verify_mode = ssl.CERT_NONE
                continue
            context.verify_mode = ssl.CERT_REQUIRED if demand.required else ssl.CERT_OPTIONAL
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(cadata=demand.authorities.decode())

    def watch_handshakes(self, count_failure: Callable[[], None], count_refused: Callable[[], None]) -> None:
        """Know of the handshakes of this process, of which nothing else would tell.

        `count_refused` is for those that failed for the client's certificate.
        """
        pending = self._handshakes
        refused = _RefusedCertificates(count_refused)

        class Watched(ssl.SSLObject):
            _refused = False

            def do_handshake(self) -> None:
                if self._refused:
                    raise ConnectionResetError
                pending.add(self)
                try:
                    super().do_handshake()
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    raise
                except OSError as error:
                    pending.discard(self)
                    count_failure()
                    if refused.hear(error):
                        # Event loops drop what is to be sent when a handshake fails, and send it when more is wanted: so the
                        # client gets its alert. The connection ends with the client, or with the handshake's time.
                        self._refused = True
                        raise ssl.SSLWantReadError from None
                    raise
                pending.discard(self)

        self.context.sslobject_class = Watched

    def refresh(self, *, settled: bool = False) -> None:
        """Follow changed files; see `Certificate.refresh`."""
        changed = [certificate.refresh(settled=settled) for certificate in self.certificates]
        if any(changed) and len(self.certificates) > 1:
            self._name()

    def _name(self) -> None:
        """Map names to contexts; where two certificates have a name, the first one counts."""
        by_name: dict[str, ssl.SSLContext] = {}
        for certificate in self.certificates:
            for name in server_names(certificate.pem):
                by_name.setdefault(name, certificate.context)
        self._by_name = by_name

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """An exact name before a wildcard of one label (RFC 6125); who asks for an unknown name gets the default."""
        wanted = (name or "").lower().rstrip(".")
        context = self._by_name.get(wanted) or self._by_name.get("*." + wanted.partition(".")[2])
        if context is not None:
            connection.context = context


def server_names(pem: bytes) -> list[str]:
    """The DNS names of a PEM chain's first certificate: its subject alternative names, else its common name."""
    from cryptography import x509

    begin = pem.index(b"-----BEGIN CERTIFICATE-----")
    certificate = x509.load_pem_x509_certificate(pem[begin:])
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return [str(attribute.value).lower() for attribute in common]
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)]


def _default_certificate(listener: Listener) -> Certificate:
    if listener.certificate_file:
        return _from_files(listener.certificate_file, listener.private_key_file, "listenerConfig")
    path = listener.key_store_path
    if path.replace("\\", "/").endswith(SHIPPED_KEY_STORE) and not Path(path).exists():
        return _self_signed(listener.host)
    return _from_key_store(path, listener.key_store_password)


def _from_files(certificate: str, key: str, table: str) -> Certificate:
    files = (Path(certificate), Path(key))
    with about(f"{table}.certificateFile", f"{table}.privateKeyFile"):
        return Certificate(f"the certificate `{certificate}`", files, lambda: _as_pem(load_pem(*files)))


def _from_key_store(path: str, password: str) -> Certificate:
    def read() -> bytes:
        store = load_key_store(Path(path), password)
        if not store.private_key:
            raise KeyMaterialError(
                f"the key store `{path}` has no private key",
                f"a listener needs a key with its certificate; export both anew: {conversion(Path(path))}",
            )
        return _as_pem(store)

    with about("listenerConfig.keyStorePath", "listenerConfig.keyStorePassword"):
        return Certificate(f"the key store `{path}`", (Path(path),), read)


def _as_pem(store: KeyStore) -> bytes:
    for warning in store.warnings:
        log.warning("%s", warning)
    return store.certificate_chain + b"\n" + store.private_key


def _self_signed(host: str) -> Certificate:
    certificate, key = self_signed_certificate(host)
    log.warning(
        "HTTPS uses a self-signed development certificate: there is no key store at the path that WSO2 ships; "
        "set `listenerConfig.certificateFile` and `privateKeyFile`, or `keyStorePath`"
    )
    return Certificate("the development certificate", (), lambda: certificate + b"\n" + key)
