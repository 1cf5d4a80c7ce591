"""Which certificates of clients are trusted: the authorities, the path to them, and what was revoked since.

A worker asks for `demand` before it opens the TLS listener, client_certificates.py for verdicts. The path of a certificate
is proved by OpenSSL in the handshake, or by the verifier of `cryptography` where a proxy passes it on.
"""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from microgate.errors import KeyMaterialError, about

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography import x509

    from microgate.plan.model import Plan, Security
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.tls")

MAX_AUTHORITIES = 1_000
MAX_PATH = 8  # certificates between a client's and an authority's


class Demand(NamedTuple):
    """What the TLS listener asks clients for. `authorities` are PEM certificates."""

    required: bool
    authorities: bytes


def demand(plan: Plan, settings: Settings) -> Demand | None:
    """None where no API uses certificates, so that no client is asked; raises KeyMaterialError where none could be proved."""
    required = settings.mutual_tls.ssl_verify_client == "require"
    if not (required or _is_used(plan) or (_is_welcome(plan) and _is_configured(settings))):
        return None
    return Demand(required, b"".join(authorities_or_last_good(settings).values()))


def _securities(plan: Plan) -> Iterator[Security]:
    for api in plan.apis:
        for operation in api.operations:
            yield operation.security


def _is_used(plan: Plan) -> bool:
    return any(api.mutual_tls for api in plan.apis) or any(takes_certificates(one) for one in _securities(plan))


def takes_certificates(security: Security) -> bool:
    """Whether a certificate plays a part in calling an operation: as a credential, or as what tokens are bound to."""
    return identifies(security) or security.bound_tokens == "certificate"


def identifies(security: Security) -> bool:
    """Whether a certificate alone can say who calls an operation."""
    return (
        "mutual_tls" in security.schemes
        or security.optional
        or any(member.kind == "mutual_tls" for alternative in security.alternatives for member in alternative)
    )


def _is_welcome(plan: Plan) -> bool:
    return any(one.bound_tokens == "any" for one in _securities(plan))


def _is_configured(settings: Settings) -> bool:
    return bool(settings.mutual_tls.trusted_certificates_file) or Path(settings.listener.trust_store_path).exists()


# What this process, or the one that it was forked from, found first and found last.
_first_of: dict[str, dict[str, bytes]] = {}
_last_of: dict[str, dict[str, bytes]] = {}


def files(settings: Settings) -> list[str]:
    """Where the authorities are."""
    return [settings.mutual_tls.trusted_certificates_file or settings.listener.trust_store_path]


def authorities_or_last_good(settings: Settings) -> dict[str, bytes]:
    """As `authorities`; a worker that begins anew while the file is broken trusts whom its siblings trust."""
    place = files(settings)[0]
    try:
        found = authorities(settings)
    except KeyMaterialError as error:
        if place not in _last_of:
            raise
        log.warning("%s; the last good authorities stay in use", error)
        return _last_of[place]
    _first_of.setdefault(place, found)
    _last_of[place] = found
    return found


def proved_authorities(settings: Settings) -> dict[str, bytes]:
    """As `authorities`, and OpenSSL takes them: what a live context cannot load must not get near it."""
    import ssl

    found = authorities(settings)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=b"".join(found.values()).decode())
    except (ssl.SSLError, ValueError) as error:
        raise KeyMaterialError(f"cannot use the authorities in `{files(settings)[0]}`: {error}") from None
    _last_of[files(settings)[0]] = found
    return found


def withdrawn(settings: Settings, now: dict[str, bytes]) -> bool:
    """Whether somebody is trusted no more whom this gateway trusted at its start: OpenSSL cannot forget, nor can sessions."""
    return not set(_first_of.get(files(settings)[0], {}).values()) <= set(now.values())


def authorities(settings: Settings) -> dict[str, bytes]:
    """The trusted certificates as PEM by alias, or by number where they come from a file; raises KeyMaterialError."""
    file = settings.mutual_tls.trusted_certificates_file
    with about("mutualSSLConfig.trustedCertificatesFile", "listenerConfig.trustStorePath"):
        return _authorities(settings, file)


def _authorities(settings: Settings, file: str) -> dict[str, bytes]:
    found = _from_file(Path(file)) if file else trust_store(settings)
    if not found or len(found) > MAX_AUTHORITIES:
        how_many = f"more than {MAX_AUTHORITIES}" if found else "no"
        place = file or settings.listener.trust_store_path
        raise KeyMaterialError(
            f"cannot prove certificates of clients: `{place}` has {how_many} certificates", "name another file"
        )
    return found


def trust_store(settings: Settings) -> dict[str, bytes]:
    """The certificates of the listener's trust store by alias; raises KeyMaterialError."""
    from microgate.runtime.security.keystore import load_key_store

    listener = settings.listener
    try:
        return load_key_store(
            Path(listener.trust_store_path), listener.trust_store_password, "trust store"
        ).certificates
    except KeyMaterialError as error:
        message = f"cannot prove certificates of clients: {error}"
        hint = "set `mutualSSLConfig.trustedCertificatesFile`, a PEM file with the authorities to trust"
        raise KeyMaterialError(message, f"{hint}; or: {error.hint}" if error.hint else hint) from None


def _from_file(file: Path) -> dict[str, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        data = file.read_bytes()
        certificates = x509.load_pem_x509_certificates(data)
        if len(certificates) < data.count(b"-----BEGIN CERTIFICATE-----"):
            raise ValueError("the end of one is missing")  # noqa: TRY301 - as a damaged one
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise KeyMaterialError(f"cannot read the trusted certificates `{file}`: {reason}") from None
    except (ValueError, x509.InvalidVersion):
        message = f"cannot use the trusted certificates `{file}`: it holds no PEM certificates, or a damaged one"
        raise KeyMaterialError(message) from None
    return {str(number): one.public_bytes(Encoding.PEM) for number, one in enumerate(certificates, 1)}


class PathError(Exception):
    """A certificate leads to no authority; the message is a library's, for logs."""


class Paths:
    """Proves certificates that did not come through a handshake of our own: dates, purpose, signatures, names."""

    def __init__(self, trusted: Sequence[x509.Certificate]) -> None:
        from cryptography.x509.verification import PolicyBuilder, Store

        self._builder = PolicyBuilder().store(Store(list(trusted))).max_chain_depth(MAX_PATH)
        self._builder = self._builder.extension_policies(ca_policy=_issuer_policy(), ee_policy=_client_policy())

    def prove(self, leaf: x509.Certificate, others: list[x509.Certificate], now: float) -> list[x509.Certificate]:
        """The path from the certificate to an authority; raises PathError. An authority proves itself, as under 3.x."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.x509.verification import VerificationError

        at = dt.datetime.fromtimestamp(now, dt.UTC)
        try:
            return list(self._builder.time(at).build_client_verifier().verify(leaf, others).chain)
        except (VerificationError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PathError(str(error).split("(encountered", 1)[0].strip()) from None


def _client_policy() -> x509.verification.ExtensionPolicy:
    """What is asked of a client's certificate beyond dates and signatures: if it names its purposes, this is one of them.

    The web's rules ask for a subject alternative name too, which certificates of clients often lack.
    """
    from cryptography import x509
    from cryptography.x509 import verification
    from cryptography.x509.oid import ExtendedKeyUsageOID

    good = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}

    def check(_: object, __: object, usage: x509.ExtendedKeyUsage | None) -> None:
        if usage is not None and not good & set(usage):
            raise ValueError("its purposes do not include the authentication of clients")

    policy = verification.ExtensionPolicy.permit_all()
    return policy.may_be_present(x509.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, check)


def _issuer_policy() -> x509.verification.ExtensionPolicy:
    """An issuer is an authority that may sign certificates; private ones often lack the key identifiers of the web's."""
    from cryptography import x509
    from cryptography.x509 import verification

    def check_constraints(_: object, __: object, constraints: x509.BasicConstraints) -> None:
        if not constraints.ca:
            raise ValueError("an issuer is no authority")

    def check_usage(_: object, __: object, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.key_cert_sign:
            raise ValueError("an issuer may not sign certificates")

    any_way = verification.Criticality.AGNOSTIC
    policy = verification.ExtensionPolicy.permit_all()
    policy = policy.require_present(x509.BasicConstraints, any_way, check_constraints)
    return policy.may_be_present(x509.KeyUsage, any_way, check_usage)
