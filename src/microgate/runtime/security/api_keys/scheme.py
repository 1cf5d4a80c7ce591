"""The scheme of API keys: signed ones, which the gateway verifies (WSO2 §6.5), and opaque ones of a store (`key_book.py`).

A key that was seen before costs a lookup, and a digest where its head is new. Where a request carries its key is
`../key_places.py`; that it does not go on to the backend is there too. Keys are kept nowhere in clear text.
"""

from __future__ import annotations

import logging
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgate.errors import KeyMaterialError
from microgate.runtime.security import key_places, refusals
from microgate.runtime.security.api_keys.key_holders import API, KeyHolder, pairs_of, texts_of
from microgate.runtime.security.api_keys.key_records import PREFIX
from microgate.runtime.security.followed_files import FollowedFiles
from microgate.runtime.security.recalling import keyed_digest, recall_by
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.tokens import claims
from microgate.runtime.security.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.plan.model import Api, KeyPlace, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.api_keys.key_following import FollowedBook
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.recalling import Recall
    from microgate.runtime.security.schemes import Judgement, Scheme
    from microgate.runtime.security.tokens.signatures import VerificationKey
    from microgate.settings.model import Settings

VERDICT_BYTES = 32 << 20
DEFAULT_LEEWAY_SECONDS = 30.0

NO_KEY = Reason("auth.api_key.unverifiable")
ISSUER = Reason("auth.api_key.issuer")

log = logging.getLogger("microgate.security")


class ApiKeys:
    """All keys of one worker. `key` verifies signed ones, None refuses them; `book` has the opaque ones, None for no store."""

    def __init__(self, context: SecurityContext, key: VerificationKey | None, book: FollowedBook | None) -> None:
        self._settings = settings = context.settings
        self._followed: FollowedFiles[VerificationKey] | None = None
        self._check = settings.api_key.token_configs
        self._key = key
        self._book = book
        skew_ms = settings.server.timestamp_skew
        self._leeway = DEFAULT_LEEWAY_SECONDS if skew_ms < 0 else skew_ms / 1000
        self._longest = float(settings.caching.token_cache_expiry_time)
        self._clock = context.clock
        self._count = context.counter("token_verifications")
        self._mark = context.mark
        self._digest = keyed_digest()
        self._recalls: dict[tuple[KeyPlace, ...], Recall] = {}
        self._verdicts = Verdicts(
            VERDICT_BYTES, settings.caching.token_cache_capacity, context.clock, context.counter, context.gauge
        )
        self._find = self._verdicts.find
        if book is not None:
            book.on_change = self._verdicts.clear

    def for_operation(self, api: Api, operation: Operation) -> Scheme:
        return _OfApi(self, api, operation, names_api=self._check.validate_allowed_apis)

    def recall(self, places: tuple[KeyPlace, ...]) -> Recall:
        """The function that knows again who holds the key in these fields, the same one for the same places."""
        if places not in self._recalls:
            find = key_places.in_fields(places)

            def digest_of(exchange: Exchange) -> bytes:
                keys = find(exchange.lines)
                return self._digest(keys[0]) if len(keys) == 1 else b""

            self._recalls[places] = recall_by(self._find, digest_of)
        return self._recalls[places]

    def follow(self) -> None:
        """Follow the file or store that has the certificate of signed keys; our own signing key is made once."""
        place = _place_of(self._settings)
        if place:
            load = partial(verification_key, self._settings)
            self._followed = FollowedFiles("certificate of signed API keys", [place], load, self._take)

    def _take(self, key: VerificationKey) -> None:
        self._key = key
        self._verdicts.clear()

    def close(self) -> None:
        if self._book is not None:
            self._book.close()
        if self._followed is not None:
            self._followed.close()

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> KeyHolder | Awaitable[KeyHolder]:
        """Who holds the key, whatever API it names; raises TokenError."""
        digest = self._digest(credential)
        holder = self._find(digest)
        if holder is None:
            if self._book is not None and not self._book.loaded and credential.startswith(PREFIX):
                return self._after_loading(self._book, exchange, (credential, digest))
            holder = self._verify(credential, digest)
        assert isinstance(holder, KeyHolder)
        if holder.bound:
            holder.check(exchange)
        return holder

    async def _after_loading(self, book: FollowedBook, exchange: Exchange, key: tuple[bytes, bytes]) -> KeyHolder:
        await book.load()
        holder = self._verify(*key)
        if holder.bound:
            holder.check(exchange)
        return holder

    def _verify(self, credential: bytes, digest: bytes) -> KeyHolder:
        """Who holds a key that nothing is remembered of; raises TokenError."""
        self._count(1)
        now = self._clock()
        if credential.startswith(PREFIX):
            if self._book is None:
                raise TokenError(NO_KEY)
            holder = self._book.verify(credential, now)
        else:
            holder = self._verify_signed(credential, now)
        holder.token = blake2b(credential, digest_size=16).digest()
        self._mark(holder, credential)
        self._verdicts.keep(digest, Verdict(min(holder.until, now + self._longest), holder, len(credential)))
        return holder

    def _verify_signed(self, credential: bytes, now: float) -> KeyHolder:
        """Steps 2 to 9 of WSO2 §6.2 with the one issuer of API keys."""
        from microgate.runtime.security.tokens.compact import parse
        from microgate.runtime.security.tokens.signatures import ALGORITHMS

        key = self._key
        if key is None:
            raise TokenError(NO_KEY)
        token = parse(credential)
        algorithm = token.header.algorithm
        if algorithm not in ALGORITHMS or not key.fits(algorithm):
            raise TokenError(refusals.ALGORITHM)
        if token.claims.get("iss") != self._check.issuer:
            raise TokenError(ISSUER)
        until = claims.check_dates(token.claims, now, self._leeway)
        if not key.verifies(algorithm, token.signature, token.signed):
            raise TokenError(refusals.SIGNATURE)
        if not key.not_before <= now < key.not_after:
            raise TokenError(refusals.KEY_EXPIRED)
        holder = _holder_of(token.claims)
        holder.issuer = self._check.issuer
        holder.until = min(until, key.not_after)
        return holder


class _OfApi:
    """The keys as the operations of one API take them."""

    def __init__(self, keys: ApiKeys, api: Api, operation: Operation, *, names_api: bool) -> None:
        self._judge = keys.judge
        self._api = api
        self._names_api = names_api
        places = operation.security.key_places
        self._known = keys.recall(places)
        self._by_query = any(place.location == "query" for place in places)

    def recall(self, exchange: Exchange) -> KeyHolder | None:
        """Who holds the key of a request, unless where the request comes from or goes to has a say in it."""
        if exchange.authorization or (self._by_query and b"?" in exchange.target):
            return None
        holder = self._known(exchange)
        if not isinstance(holder, KeyHolder) or holder.bound or self._is_elsewhere(holder):
            return None
        return holder

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Judgement:
        judged = self._judge(exchange, value, credential)
        return self._admit(judged) if isinstance(judged, KeyHolder) else self._wait(judged)

    async def _wait(self, judged: Awaitable[KeyHolder]) -> KeyHolder:
        return self._admit(await judged)

    def _admit(self, holder: KeyHolder) -> KeyHolder:
        if self._is_elsewhere(holder):
            raise TokenError(API)
        return holder

    def _is_elsewhere(self, holder: KeyHolder) -> bool:
        """A key of the store that names APIs is for them alone; a signed one only where the settings say so (WSO2 §6.5)."""
        held = holder.apis is not None if holder.scoped else self._names_api
        return held and not holder.may_call(self._api)


def _holder_of(said: dict[str, Any]) -> KeyHolder:
    known = claims.consumer_of(said, "consumerKey")
    holder = KeyHolder(known.name, key_type=known.key_type, scopes=known.scopes)
    holder.consumer_key = known.consumer_key
    holder.audience_only = known.audience_only
    holder.application = known.application
    holder.application_details = known.application_details
    holder.claims = said
    apis = said.get("subscribedAPIs")
    holder.apis = pairs_of(said.get("allowedAPIs") if apis is None else apis)
    holder.bind(texts_of(said.get("permittedIP")), texts_of(said.get("permittedReferer")))
    return holder


def make(context: SecurityContext) -> ApiKeys:
    """The scheme as the settings have it; what lacks its key material refuses, and says so once."""
    settings = context.settings
    book = None
    if settings.api_key.store:
        from microgate.runtime.security.api_keys.key_following import FollowedBook

        book = FollowedBook(settings.api_key.store)
    try:
        key = verification_key(settings)
    except KeyMaterialError as error:
        key = None
        if book is None:
            log.warning("signed API keys are refused: %s", error)
    made = ApiKeys(context, key, book)
    made.follow()
    context.closers.append(made.close)
    return made


def prove(settings: Settings) -> None:
    """Raise KeyMaterialError for what the settings name in so many words and cannot be had: for the start."""
    if settings.api_key.token_configs.certificate_file:
        verification_key(settings)
    if settings.api_key.store:
        from microgate.runtime.security.api_keys.key_book import KeyBook

        if not Path(settings.api_key.store).exists():
            hint = f"make it with its first key: microgate key create --store {settings.api_key.store}"
            raise KeyMaterialError(f"`apikey.store`: there is no `{settings.api_key.store}`", hint)
        book = KeyBook(Path(settings.api_key.store))
        book.prove_permissions()
        book.records()


def verification_key(settings: Settings) -> VerificationKey:
    """What signed keys are verified with: a file, a certificate of the trust store, or our own; raises KeyMaterialError."""
    from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_pem

    try:
        return from_pem(_certificate(settings))
    except UnusableKeyError as error:
        raise KeyMaterialError(f"the certificate for API keys cannot be used: {error}") from None


def _place_of(settings: Settings) -> str:
    """The file where the certificate is looked for first, "" where there is none."""
    file = settings.api_key.token_configs.certificate_file
    store = settings.listener.trust_store_path
    return file or (store if Path(store).is_file() else "")


def _certificate(settings: Settings) -> bytes:
    check, listener = settings.api_key.token_configs, settings.listener
    if check.certificate_file:
        try:
            return Path(check.certificate_file).read_bytes()
        except OSError as error:
            reason = (error.strerror or "it cannot be read").lower()
            raise KeyMaterialError(f"cannot read `{check.certificate_file}`: {reason}") from None
    store = Path(listener.trust_store_path)
    if store.is_file():
        from microgate.runtime.security.keystore import load_key_store

        found = load_key_store(store, listener.trust_store_password, "trust store").find(check.certificate_alias)
        if found is not None:
            return found
    from microgate.runtime.security.api_keys import signing_keys

    return signing_keys.load(settings).certificate
