"""Lists of revoked certificates (CRL, RFC 5280 §5) out of files, followed while the gateway runs.

client_trust.py asks for the certificates that it has proved. A list that cannot be used never takes the place of a good one,
and one that is past its next update vouches for nothing any more.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from microgate.errors import KeyMaterialError
from microgate.runtime.security.refusals import Reason, TokenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Stamp = tuple[tuple[int, int], ...]

REVOKED = Reason("auth.mutual_tls.revoked")
LIST_EXPIRED = Reason("auth.mutual_tls.list_expired")

MAX_BYTES = 64 << 20
_PEM_BEGIN = b"-----BEGIN X509 CRL-----"
_PEM_END = b"-----END X509 CRL-----"

log = logging.getLogger("microgate.tls")


class RevokedCertificates:
    """The lists of some files. `authorities` are the certificates whose signatures on lists can be checked."""

    def __init__(self, files: Sequence[str], authorities: Sequence[x509.Certificate]) -> None:
        """Raise KeyMaterialError for a file that cannot be used."""
        self._files = tuple(Path(file) for file in files)
        self._authorities = authorities
        self._stamp = self._seen = self._look()
        self._by_issuer = self._load()

    def trust(self, authorities: Sequence[x509.Certificate]) -> None:
        """Hold lists that change from now on against other authorities."""
        self._authorities = authorities

    def refresh(self) -> bool:
        """Read the files again if they have changed and hold still; True where other lists are in use now."""
        stamp = self._look()
        before, self._seen = self._seen, stamp
        if stamp == self._stamp or stamp != before:
            return False
        self._stamp = stamp
        try:
            self._by_issuer = self._load()
        except KeyMaterialError as error:
            log.error("%s; the last good list stays in use", error)  # noqa: TRY400 - the error is the user's
            return False
        log.info("new lists of revoked certificates are in use")
        return True

    def check(self, certificate: x509.Certificate, now: float) -> float:
        """Until when the lists stand by this certificate; raises TokenError. One whose issuer has no list always stands."""
        until = float("inf")
        for revoked in self._by_issuer.get(certificate.issuer.public_bytes(), ()):
            if revoked.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
                raise TokenError(REVOKED)
            if revoked.next_update_utc is not None:
                until = min(until, revoked.next_update_utc.timestamp())
        if now >= until:
            raise TokenError(LIST_EXPIRED)
        return until

    def _look(self) -> Stamp:
        found = []
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                found.append((0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size))
        return tuple(found)

    def _load(self) -> dict[bytes, list[x509.CertificateRevocationList]]:
        """The newest list of each issuer; with equal issuers in several files, all of them count."""
        found: dict[bytes, list[x509.CertificateRevocationList]] = {}
        for file in self._files:
            newest: dict[bytes, x509.CertificateRevocationList] = {}
            for revoked in _read(file):
                self._prove(revoked, file)
                issuer = revoked.issuer.public_bytes()
                if issuer not in newest or newest[issuer].last_update_utc < revoked.last_update_utc:
                    newest[issuer] = revoked
            for issuer, revoked in newest.items():
                found.setdefault(issuer, []).append(revoked)
        return found

    def _prove(self, revoked: x509.CertificateRevocationList, file: Path) -> None:
        for extension in revoked.extensions:
            # A part of a list, or one of several issuers, would be read as if it were the whole (RFC 5280 §5.2).
            if extension.critical:
                raise KeyMaterialError(
                    f"cannot use the revocation list `{file}`: it is a partial, indirect or delta list",
                    "export the issuer's complete list",
                )
        issuers = [one for one in self._authorities if one.subject == revoked.issuer]
        if issuers and not any(_signed(revoked, issuer) for issuer in issuers):
            raise KeyMaterialError(f"cannot use the revocation list `{file}`: its signature is not its issuer's")
        if not issuers:
            log.warning("the issuer of the revocation list `%s` is no trusted certificate; it is used unproved", file)


def _signed(revoked: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return revoked.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # others raise TypeError
    except (TypeError, ValueError):
        return False


def _read(file: Path) -> list[x509.CertificateRevocationList]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or "not a usable path").lower()
        raise KeyMaterialError(f"cannot read the revocation list `{file}`: {reason}") from None
    if len(data) > MAX_BYTES:
        raise KeyMaterialError(f"cannot use the revocation list `{file}`: it is larger than {MAX_BYTES} bytes")
    try:
        if _PEM_BEGIN not in data:
            return [x509.load_der_x509_crl(data)]
        parts = [part for part in data.split(_PEM_END)[:-1] if _PEM_BEGIN in part]
        lists = [x509.load_pem_x509_crl(part[part.index(_PEM_BEGIN) :] + _PEM_END) for part in parts]
        for one in lists:
            _ = one.extensions, one.issuer, one.last_update_utc  # read now, so that nothing of it fails later
    except (ValueError, x509.InvalidVersion):
        raise KeyMaterialError(
            f"cannot use the revocation list `{file}`: it is no list in PEM or DER form",
            "write one with: openssl ca -gencrl -out crl.pem",
        ) from None
    return lists
