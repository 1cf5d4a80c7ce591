"""The stage that finds a client's certificate and holds it against what the API demands (WSO2 §6.6), and the scheme of callers
that prove themselves with nothing else.

A certificate comes from the handshake, which has proved it, or from the header of a trusted proxy, proved here. The verdict
is kept by the certificate's bytes, up to its end or that of a revocation list.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from microgate.errors import KeyMaterialError
from microgate.runtime.exchange import ClientCertificate, Consumer
from microgate.runtime.security import refusals
from microgate.runtime.security.certificates import client_trust
from microgate.runtime.security.certificates.certificate_header import MALFORMED, read_header
from microgate.runtime.security.certificates.client_trust import PathError, Paths, takes_certificates
from microgate.runtime.security.certificates.crl_files import RevokedCertificates
from microgate.runtime.security.certificates.thumbprints import thumbprint
from microgate.runtime.security.followed_files import FollowedFiles
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.security.context import SecurityContext
    from microgate.settings.listener import ApiCertificates
    from microgate.settings.model import Settings

MISSING = Reason("auth.mutual_tls.missing")
UNTRUSTED = Reason("auth.mutual_tls.untrusted")
EXPIRED = Reason("auth.mutual_tls.expired")
NOT_YET_VALID = Reason("auth.mutual_tls.not_yet_valid")
NOT_LISTED = Reason("auth.mutual_tls.not_listed")
PROXY = Reason("auth.mutual_tls.proxy")

MAX_KNOWN = 4_096  # certificates with a verdict; about 3 KiB each
HEADER_VERDICT_SECONDS = 300.0  # after which a proxy's certificate is proved anew, with all of its path
LOOK_SECONDS = 1.0  # how often the files of revocation lists are looked at

log = logging.getLogger("microgate.tls")


class Known(NamedTuple):
    """A certificate that was found good, up to `until`, and who calls with it."""

    until: float
    certificate: ClientCertificate
    consumer: Consumer
    beside: tuple[Consumer, ...]  # the consumer, as one of those who vouch for a request that has another one


class ClientCertificates:
    """All that a worker knows of clients' certificates. Raises KeyMaterialError where nothing could be proved."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        found = client_trust.authorities_or_last_good(settings)
        trusted = _certificates(found)
        self._paths = Paths(trusted)
        self._proves_all = client_trust.withdrawn(settings, found)
        self._revoked = RevokedCertificates(settings.mutual_tls.crl_files, trusted)
        self._header = settings.mutual_tls.certificate_header_name.lower().encode()
        self._ends_here = settings.mutual_tls.is_client_certificate_validation_enabled
        self._known: dict[bytes, Known] = {}
        self.remembered = self._known.get  # a verdict for the bytes of a certificate, which may be over
        self.clock = clock
        self._timer: asyncio.TimerHandle | None = None
        if settings.mutual_tls.crl_files:
            self._follow()
        load = partial(client_trust.proved_authorities, settings)
        self._authorities = FollowedFiles(
            "list of trusted authorities", client_trust.files(settings), load, self._trust
        )

    def find(self, exchange: Exchange) -> Known | None:
        """What the request brings, None for nothing; raises TokenError for anything that is not good.

        On a connection of a trusted proxy only its header speaks of the client: the handshake's certificate is the proxy's.
        """
        downstream = exchange.downstream
        if not (downstream.trusted and self._header):
            proved = downstream.peer_certificate()
            return self._judge(proved, self._of_handshake) if proved else None
        values = [value for value in exchange.values(self._header) if value]
        if not values:
            return None
        if len(values) > 1:
            raise TokenError(refusals.REPEATED)
        if self._ends_here:
            proved = downstream.peer_certificate()
            if not proved:
                raise TokenError(PROXY)
            self._judge(proved, self._of_handshake)
        chain = b"".join(exchange.values(b"client-cert-chain")) if self._header == b"client-cert" else b""
        # No DER form begins like that, so what a header says is never taken for what a handshake proved.
        return self._judge(b"\n".join((b"", values[0], chain)), self._of_header)

    def _judge(self, given: bytes, read: Callable[[bytes, float], Known]) -> Known:
        now = self.clock()
        known = self._known.get(given)
        if known is not None and now < known.until:
            return known
        found = read(given, now)
        while len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[given] = found
        return found

    def _of_handshake(self, der: bytes, now: float) -> Known:
        """OpenSSL has proved the path, perhaps long ago: a resumed session goes back to another handshake."""
        certificate = _load(der)
        found = _known(certificate, now, self._revoked.check(certificate, now))
        if self._proves_all:
            self._prove_path(found, certificate, [], now)
        return found

    def _of_header(self, given: bytes, now: float) -> Known:
        _, value, chain = given.split(b"\n")
        leaf, *others = read_header(value, chain)
        found = _known(leaf, now, now + HEADER_VERDICT_SECONDS)
        path = self._prove_path(found, leaf, others, now)
        until = min([found.until, *(self._revoked.check(one, now) for one in path)])
        return found._replace(until=until)

    def _prove_path(
        self, found: Known, leaf: x509.Certificate, others: list[x509.Certificate], now: float
    ) -> list[x509.Certificate]:
        try:
            return self._paths.prove(leaf, others, now)
        except PathError as error:
            log.info("the certificate `%s` is refused: %s", found.certificate.subject, error)
            raise TokenError(UNTRUSTED) from None

    def _trust(self, found: dict[str, bytes]) -> None:
        """Other authorities count from now on.

        Neither OpenSSL nor a session forgets one that was taken out, so then each certificate's path is proved here too, of
        which only the certificate and the authorities are known: what leads over others is refused until a restart.
        """
        trusted = _certificates(found)
        self._paths = Paths(trusted)
        self._revoked.trust(trusted)
        if client_trust.withdrawn(self._settings, found):
            self._proves_all = True
            log.warning(
                "an authority was taken out: clients whose certificates lead over one not listed need a restart"
            )
        self._known.clear()

    # Revocation lists are read by a timer: no request waits for the disk.

    def _follow(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the settings are proved before anything serves
        self._timer = loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self.refresh()
        self._follow()

    def refresh(self) -> None:
        """Look whether there are other revocation lists."""
        if self._revoked.refresh():
            self._known.clear()

    def close(self) -> None:
        self._authorities.close()
        if self._timer is not None:
            self._timer.cancel()

    # What an API allows.

    def allowed(self, api: Api) -> Callable[[ClientCertificate], bool]:
        """Who of those with a good certificate may call an API (WSO2 §5.10).

        Without a list of its own it is everybody whom `trustedCertificatesFile` vouches for, and as under 3.2 nobody where
        that is not set: a trust store holds certificates for other purposes too. Raises KeyMaterialError.
        """
        entries = [entry for entry in self._settings.mutual_tls.api_certificates if _is_for(entry, api)]
        if not entries:
            trusts = bool(self._settings.mutual_tls.trusted_certificates_file)
            return lambda _: trusts
        thumbprints = {_from_hex(one) for entry in entries for one in entry.thumbprints}
        aliases = [alias for entry in entries for alias in entry.alias_list]
        if aliases:
            store = {name.lower(): one for name, one in client_trust.trust_store(self._settings).items()}
            thumbprints |= {_of_alias(alias, store, self._settings) for alias in aliases}
        subjects = {subject for entry in entries for subject in entry.subjects}
        return lambda certificate: certificate.thumbprint in thumbprints or certificate.subject in subjects


def _certificates(found: dict[str, bytes]) -> list[x509.Certificate]:
    return [x509.load_pem_x509_certificate(one) for one in found.values()]


class MutualTls:
    """The scheme of callers whose certificate says who they are; the stage before has found it."""

    def __init__(self, context: SecurityContext) -> None:
        self._certificates = context.certificates

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Consumer:
        known = self._certificates.find(exchange) if exchange.certificate is not None else None
        if known is None:
            raise TokenError(MISSING)
        return known.consumer


def link(context: SecurityContext, api: Api, operation: Operation) -> Stage | None:
    """The stage of an operation, None where certificates play no part.

    A mandatory certificate is asked for whatever else the request brings, and on opened operations too. Where it is optional,
    one that is shown must be good and allowed all the same.
    """
    security = operation.security
    required = context.settings.mutual_tls.ssl_verify_client == "require"
    uses = bool(api.mutual_tls) or takes_certificates(security)
    if not uses and not required:
        return None
    certificates = context.certificates
    refuse = context.refusals((*security.schemes, "mutual_tls")).fault
    # A token that is bound to a certificate says itself which one; the list is for those who call with nothing else.
    lists = bool(api.mutual_tls) or client_trust.identifies(security)
    allows = certificates.allowed(api) if lists else _everybody
    mandatory = api.mutual_tls == "mandatory"

    remembered, clock = certificates.remembered, certificates.clock

    def find(exchange: Exchange) -> Fault | None:
        downstream = exchange.downstream
        known = None if downstream.trusted else remembered(downstream.peer_certificate())
        if known is None or clock() >= known.until:
            return look(exchange)
        certificate = known.certificate
        if not allows(certificate):
            return refuse(NOT_LISTED)
        exchange.certificate = certificate
        exchange.consumer = known.consumer  # until a credential says more
        exchange.beside = known.beside
        return None

    def look(exchange: Exchange) -> Fault | None:
        """The slow way: nothing is remembered, or a proxy speaks for the client."""
        if required and not uses and exchange.downstream.scheme != "https":
            return None  # what the listener for TLS demands is no matter of the plain one
        try:
            known = certificates.find(exchange)
        except TokenError as error:
            return refuse(error.reason)
        if known is None:
            return refuse(MISSING) if mandatory else None
        if not allows(known.certificate):
            return refuse(NOT_LISTED)
        exchange.certificate = known.certificate
        exchange.consumer = known.consumer
        exchange.beside = known.beside
        return None

    return find


def prove(settings: Settings, apis: tuple[Api, ...]) -> None:
    """Raise KeyMaterialError where certificates that the settings list cannot be had, or a list is for no API."""
    certificates = ClientCertificates(settings, lambda: 0.0)
    users = [
        api for api in apis if api.mutual_tls or any(client_trust.identifies(one.security) for one in api.operations)
    ]
    for api in users:
        certificates.allowed(api)
    entries = settings.mutual_tls.api_certificates
    unlisted = [api for api in users if not any(_is_for(entry, api) for entry in entries)]
    strangers = [entry for entry in entries if not any(_is_for(entry, api) for api in apis)]
    for api in unlisted:
        if strangers and settings.mutual_tls.trusted_certificates_file:
            name = f"`{strangers[0].name}` {strangers[0].version}"
            raise KeyMaterialError(
                f"[[mutualSSLConfig.api.certificates]] lists {name}, which is no API, and not `{api.name}` {api.version}",
                f"without a list `{api.name}` takes every trusted certificate; correct the name and the version",
            )
        if not settings.mutual_tls.trusted_certificates_file:
            log.warning(
                "no certificate may call the API `%s` %s: it has no [[mutualSSLConfig.api.certificates]], and "
                "`mutualSSLConfig.trustedCertificatesFile` is not set",
                api.name,
                api.version,
            )


def _everybody(_: ClientCertificate) -> bool:
    return True


def _is_for(entry: ApiCertificates, api: Api) -> bool:
    return (entry.name.lower(), entry.version.lower()) == (api.name.lower(), api.version.lower())


def _of_alias(alias: str, store: dict[str, bytes], settings: Settings) -> str:
    pem = store.get(alias.lower())
    if pem is None:
        from microgate.runtime.security.keystore import take_over

        path = settings.listener.trust_store_path
        known = ", ".join(f"`{name}`" for name in sorted(store)) or "none"
        raise KeyMaterialError(
            f"[[mutualSSLConfig.api.certificates]] names `{alias}`, which the trust store `{path}` does not have",
            f"its certificates are: {known}; add it: {take_over(Path(path), alias)}",
        )
    return thumbprint(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))


def _from_hex(text: str) -> str:
    """A SHA-256 as tools print it, with or without colons, as the settings' rules have let it through."""
    from microgate.runtime.security.certificates.thumbprints import base64url

    return base64url(bytes.fromhex(text.replace(":", "")))


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion):
        raise TokenError(MALFORMED) from None


def _known(certificate: x509.Certificate, now: float, until: float) -> Known:
    """The record of a certificate within its dates; raises TokenError."""
    try:
        begins = certificate.not_valid_before_utc.timestamp()
        # The last second counts (RFC 5280 §4.1.2.5): the date is inclusive.
        ends = certificate.not_valid_after_utc.timestamp() + 1
        der = certificate.public_bytes(Encoding.DER)
        record = ClientCertificate(certificate.subject.rfc4514_string(), thumbprint(der), begins, ends)
        record.issuer = certificate.issuer.rfc4514_string()
        record.serial = certificate.serial_number
        record.names = _names(certificate)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TokenError(MALFORMED) from None
    if now < begins:
        raise TokenError(NOT_YET_VALID)
    if now >= ends:
        raise TokenError(EXPIRED)
    name = str(common[0].value) if common else record.subject or next(iter(record.names), record.thumbprint)
    consumer = Consumer(name, "mutual_tls")
    consumer.issuer = record.issuer
    consumer.until = ends
    consumer.token = hashlib.blake2b(der, digest_size=16).digest()
    return Known(min(until, ends), record, consumer, (consumer,))


_KINDS = ((x509.DNSName, "DNS"), (x509.UniformResourceIdentifier, "URI"), (x509.RFC822Name, "email"))


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = [f"{word}:{value}" for kind, word in _KINDS for value in found.get_values_for_type(kind)]
    return (*names, *(f"IP:{value}" for value in found.get_values_for_type(x509.IPAddress)))
