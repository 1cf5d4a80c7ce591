"""The issuers that are trusted, and the verification of a token that no verdict is known of (WSO2 §6.2).

An entry of `[[jwtTokenConfig]]` becomes an `Issuer`; `Issuers` picks the entries by the token's `iss` and tries them in
the order of the settings. `context.py` imports this only where there is an issuer.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from microgate.errors import KeyMaterialError, about
from microgate.runtime.security import refusals
from microgate.runtime.security.followed_files import FollowedFiles
from microgate.runtime.security.refusals import TokenError, UnknownKeyError
from microgate.runtime.security.tokens import claim_mapping, claims
from microgate.runtime.security.tokens.certificates import FollowedCertificate
from microgate.runtime.security.tokens.compact import parse
from microgate.runtime.security.tokens.discovery import source_of
from microgate.runtime.security.tokens.followed_keys import FollowedKeys
from microgate.runtime.security.tokens.key_sets import KeySetError
from microgate.runtime.security.tokens.signatures import ALGORITHMS, UnusableKeyError, from_pem
from microgate.runtime.security.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microgate.runtime.control import Channel
    from microgate.runtime.extensions import Extensions
    from microgate.runtime.security.tokens.claim_mapping import ClaimMapping
    from microgate.runtime.security.tokens.compact import Token
    from microgate.runtime.security.tokens.encrypted import Decrypter
    from microgate.runtime.security.tokens.signatures import VerificationKey
    from microgate.settings.model import JwtIssuer, Settings

DEFAULT_LEEWAY_SECONDS = 30.0
ENCRYPTED_DOTS = 4  # of a JWE in compact form (RFC 7516 §7.1)

log = logging.getLogger("microgate.security")


class Issuer:
    """One entry: what its tokens must say, and the keys that may have signed them."""

    def __init__(
        self,
        entry: JwtIssuer,
        *,
        certificate: FollowedCertificate | None,
        keys: FollowedKeys | None,
        leeway: float,
        mapping: ClaimMapping,
    ) -> None:
        assert certificate is not None or keys is not None
        self._entry = entry
        self._certificate = certificate
        self._keys = keys
        self._leeway = leeway
        self._mapping = mapping

    def verify(self, token: Token, now: float) -> Verdict:
        """The verdict on a token whose `iss` is ours; raises TokenError.

        Dates and audience come before the dear work: refusing needs no proof, and an old token of a key that is long
        gone must not make anybody ask for that key.
        """
        until = claims.check_dates(token.claims, now, self._leeway)
        claims.check_audience(token.claims, self._entry.audience)
        if self._entry.access_tokens_only:
            claims.check_access_token(token.claims, token.header.kind)
        key = self._signer(token)
        if not key.not_before <= now < key.not_after:
            raise TokenError(refusals.KEY_EXPIRED)
        entry = self._entry
        said = self._mapping.apply(token.claims)
        consumer = claims.consumer_of(said, entry.consumer_key_claim, entry.scope_claim)
        consumer.issuer = entry.issuer  # whose subjects have the same names as another's
        consumer.must_subscribe = entry.validate_subscription
        if not consumer.name:
            consumer.token = blake2b(token.signed, digest_size=16).digest()
        return Verdict(min(until, key.not_after), consumer)

    def _signer(self, token: Token) -> VerificationKey:
        algorithm, key_id = token.header.algorithm, token.header.key_id
        keys = None if key_id is None and self._certificate is not None else self._keys
        if keys is None:
            assert self._certificate is not None
            candidates = [self._certificate.key]
            if not self._certificate.key.fits(algorithm):
                raise TokenError(refusals.ALGORITHM)
        else:
            candidates = keys.candidates(algorithm, key_id)
        for key in candidates:
            if key.verifies(algorithm, token.signature, token.signed):
                return key
        raise TokenError(refusals.SIGNATURE) if keys is None else keys.unverified(key_id)


class Issuers:
    """All entries, by the name that tokens give."""

    def __init__(self, entries: list[tuple[str, Issuer]]) -> None:
        self._decrypter: Decrypter | None = None
        self._followed: list[FollowedFiles[Any]] = []
        self._by_name: dict[str, list[Issuer]] = {}
        for name, issuer in entries:
            self._by_name.setdefault(name, []).append(issuer)

    def open_with(self, decrypter: Decrypter) -> None:
        """Open encrypted tokens with other keys from now on."""
        self._decrypter = decrypter

    def keep(self, followed: FollowedFiles[Any]) -> None:
        """Files that are followed until `close`."""
        self._followed.append(followed)

    def close(self) -> None:
        for followed in self._followed:
            followed.close()

    def verify(self, text: bytes, now: float) -> Verdict:
        """The verdict on a token in compact form; raises TokenError, UnknownKeyError where waiting may help."""
        if self._decrypter is not None and text.count(b".") == ENCRYPTED_DOTS:
            text = self._decrypter.open(text)
        return self.judge(parse(text), now)

    def judge(self, token: Token, now: float) -> Verdict:
        """As `verify`, for a token that is taken apart already."""
        if token.header.algorithm not in ALGORITHMS:
            raise TokenError(refusals.ALGORITHM)
        name = token.claims.get("iss")
        entries = self._by_name.get(name, []) if isinstance(name, str) else []
        failure: TokenError | None = None
        for position, issuer in enumerate(entries):
            try:
                return issuer.verify(token, now)
            except TokenError as error:
                if position == 0 or isinstance(error, UnknownKeyError):
                    failure = error
        raise failure or TokenError(refusals.ISSUER)


def load(
    settings: Settings, channel: Channel | None, on_loss: Callable[[], None], extensions: Extensions | None = None
) -> Issuers:
    """The issuers of the settings with the keys that can be had at once; raises KeyMaterialError or SettingsError.

    Entries that name the same key set share one copy of it. Without `extensions` none of the project's Python runs.
    """
    skew_ms = settings.server.timestamp_skew
    leeway = DEFAULT_LEEWAY_SECONDS if skew_ms < 0 else skew_ms / 1000
    followed: dict[str, FollowedKeys] = {}
    files: list[FollowedFiles[Any]] = []
    entries = []
    for index, entry in enumerate(settings.issuers):
        source = source_of(entry)
        with about(f"jwtTokenConfig[{index}]"):
            if source and source not in followed:
                followed[source] = FollowedKeys(source, channel, on_loss)
                if source == entry.jwks_file:
                    _load_file(followed[source])
            certificate = _certificate(entry, settings, channel, on_loss)
            if certificate is not None and not certificate.source:
                files.append(_follow_alias(entry, settings, certificate))
            issuer = Issuer(
                entry,
                certificate=certificate,
                keys=followed[source] if source else None,
                leeway=leeway,
                mapping=claim_mapping.load(entry, extensions),
            )
        entries.append((entry.issuer, issuer))
    issuers = Issuers(entries)
    for one in files:
        issuers.keep(one)
    if settings.encrypted_tokens.private_key_files:
        _follow_decrypter(issuers, settings, on_loss)
    return issuers


def _follow_decrypter(issuers: Issuers, settings: Settings, on_loss: Callable[[], None]) -> None:
    from microgate.runtime.security.tokens.encrypted import Decrypter

    files = settings.encrypted_tokens.private_key_files

    def load() -> Decrypter:
        return Decrypter([(file, _read(file)) for file in files])

    def take(decrypter: Decrypter) -> None:
        issuers.open_with(decrypter)
        on_loss()

    with about("encryptedTokenConfig.privateKeyFiles"):
        issuers.open_with(_or_last_good("", load))
    issuers.keep(FollowedFiles("set of keys that open tokens", files, load, take))


def _follow_alias(entry: JwtIssuer, settings: Settings, certificate: FollowedCertificate) -> FollowedFiles[bytes]:
    def load() -> bytes:
        data = _from_trust_store(entry, settings)
        with _usable(entry, f"`{entry.certificate_alias}` in the trust store"):
            from_pem(data)
        return data

    what = f"certificate `{entry.certificate_alias}` of issuers"
    return FollowedFiles(what, [settings.listener.trust_store_path], load, certificate.take)


def _load_file(keys: FollowedKeys) -> None:
    def load(document: bytes) -> None:
        try:
            keys.load(document)
        except KeySetError as error:
            raise KeyMaterialError(f"the key set `{keys.source}` {error}") from None

    _from_file(keys.source, load)


# What was good in each file. The supervisor fills it before it forks, so that a worker which is started anew while a file is
# broken has the keys that its siblings have.
_good: dict[str, bytes] = {}

T = TypeVar("T")


def _from_file(file: str, make: Callable[[bytes], T]) -> T:
    """What `make` makes of a file, or of the last content that was good; raises KeyMaterialError."""
    try:
        data = _read(file)
        made = make(data)
    except KeyMaterialError as error:
        if file not in _good:
            raise
        log.warning("%s; its last good content is in use", error)
        return make(_good[file])
    _good[file] = data
    return made


_good_of_stores: dict[str, Any] = {}


def _or_last_good(name: str, load: Callable[[], T]) -> T:
    """The same for what is read of several files or of a store: what `load` made last."""
    try:
        made = load()
    except KeyMaterialError as error:
        if name not in _good_of_stores:
            raise
        log.warning("%s; what was good last is in use", error)
        found: T = _good_of_stores[name]
        return found
    _good_of_stores[name] = made
    return made


@contextmanager
def _usable(entry: JwtIssuer, place: str) -> Iterator[None]:
    try:
        yield
    except UnusableKeyError as error:
        raise KeyMaterialError(f"issuer `{entry.issuer}` cannot use {place}: {error}") from None


def _certificate(
    entry: JwtIssuer, settings: Settings, channel: Channel | None, on_loss: Callable[[], None]
) -> FollowedCertificate | None:
    file = entry.certificate_file
    if file:

        def follow(data: bytes) -> FollowedCertificate:
            with _usable(entry, f"`{file}`"):
                return FollowedCertificate(file, data, channel, on_loss)

        return _from_file(file, follow)
    if entry.certificate_alias:
        place = f"`{entry.certificate_alias}` in the trust store"
        data = _or_last_good(entry.certificate_alias, partial(_from_trust_store, entry, settings))
    elif source_of(entry):
        return None
    else:
        raise KeyMaterialError(
            f"issuer `{entry.issuer}` has no key, so none of its tokens can be verified",
            hint="set certificateFile, certificateAlias, jwksFile, jwksURL or discovery in its [[jwtTokenConfig]]",
        )
    with _usable(entry, place):
        return FollowedCertificate("", data, None, on_loss)


def _from_trust_store(entry: JwtIssuer, settings: Settings) -> bytes:
    from microgate.runtime.security.keystore import load_key_store, take_over

    listener = settings.listener
    path = Path(listener.trust_store_path)
    try:
        store = load_key_store(path, listener.trust_store_password, "trust store")
    except KeyMaterialError as error:
        message = f"issuer `{entry.issuer}` needs the certificate `{entry.certificate_alias}`: {error}"
        hint = error.hint or "check `listenerConfig.trustStorePath`, or set `certificateFile` for the issuer"
        raise KeyMaterialError(message, hint) from None
    data = store.find(entry.certificate_alias)
    if data is None:
        known = ", ".join(f"`{alias}`" for alias in sorted(store.certificates)) or "none"
        raise KeyMaterialError(
            f"the trust store `{listener.trust_store_path}` has no certificate `{entry.certificate_alias}`",
            hint=f"its certificates are: {known}; add it: {take_over(path, entry.certificate_alias)}",
        )
    return data


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise KeyMaterialError(f"cannot read `{file}`: {reason}") from None
