"""Where an issuer's key set is: said by the settings, or learned from the metadata that the issuer publishes about itself.

Sources are OpenID Connect Discovery 1.0 §4 and RFC 8414 §3. The steward asks (`keys.py`); workers know a discovered key set by
the address of the metadata. No address is ever taken from a token.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from microgate.runtime.security.fetch import FetchError, is_loopback, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.security.fetch import Address, Documents
    from microgate.settings.model import JwtIssuer

TRUSTED_SECONDS = 3_600.0  # metadata is asked for again after that, and whenever the key set cannot be had
_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"


class _Metadata(msgspec.Struct):
    issuer: str
    jwks_uri: str


def source_of(entry: JwtIssuer) -> str:
    """What names an entry's key set: an address, a file, or the address of the issuer's metadata; "" for none."""
    if entry.discovery:
        return entry.issuer.rstrip("/") + _OPENID
    return entry.jwks_url or entry.jwks_file


def addresses(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata may be: appended to its name, or put before its path."""
    parts = urlsplit(issuer)
    return issuer.rstrip("/") + _OPENID, f"{parts.scheme}://{parts.netloc}{_OAUTH}{parts.path.rstrip('/')}"


class Discovered:
    """The key set of an issuer that says itself where it is."""

    def __init__(self, issuer: str, documents: Documents, clock: Callable[[], float] = monotonic) -> None:
        self._issuer = issuer
        self._documents = documents
        self._clock = clock
        self._keys_at: Address | None = None
        self._ask_again_at = 0.0

    async def ask(self) -> bytes | None:
        """The key set; raises FetchError."""
        now = self._clock()
        if self._keys_at is None or now >= self._ask_again_at:
            self._keys_at = await self._discover()
            self._ask_again_at = now + TRUSTED_SECONDS
        try:
            return await self._documents.get(self._keys_at)
        except FetchError:
            self._keys_at = None
            raise

    async def _discover(self) -> Address:
        openid, oauth = addresses(self._issuer)
        try:
            document = await self._documents.get(parse_address(openid))
        except FetchError as error:
            try:
                document = await self._documents.get(parse_address(oauth))
            except FetchError:
                raise FetchError(f"its metadata cannot be had: {error}") from None
        return _read(document, self._issuer)


def _read(document: bytes, issuer: str) -> Address:
    """Where the metadata says that the keys are; the issuer it names must be the one that was asked for."""
    try:
        metadata = msgspec.json.decode(document, type=_Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise FetchError("its metadata does not say where the keys are") from None
    if metadata.issuer != issuer:
        raise FetchError("its metadata is about another issuer")
    address = parse_address(metadata.jwks_uri)
    if not address.secure and not is_loopback(address):
        raise FetchError("its metadata names a key set without TLS")
    return address
