"""The scheme of user name and password (RFC 7617, WSO2 §6.4): reads the credential, remembers verdicts, and asks the stores.

A password is verified once: a right one is remembered by a keyed digest until its time is over, a wrong one for a few seconds,
and equal ones that come together share one verification. Wrong ones are limited for each address and user.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.exchange import Consumer
from microgate.runtime.faults import Fault
from microgate.runtime.security.calls import Shared
from microgate.runtime.security.passwords.guess_limits import GuessLimit, network_of
from microgate.runtime.security.passwords.hash_bench import HashBench
from microgate.runtime.security.passwords.stored_forms import MAX_PASSWORD_BYTES
from microgate.runtime.security.passwords.turns import BusyError
from microgate.runtime.security.passwords.user_stores import making
from microgate.runtime.security.passwords.user_stores.store import Attempt, Found, Refused, StoreDownError
from microgate.runtime.security.recalling import keyed_digest, recall_by
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.passwords.user_stores.store import UserStore
    from microgate.runtime.security.recalling import Recall

FORMAT = Reason("auth.basic.format", kind=faults.BASIC_FORMAT)
PASSWORD = Reason("auth.basic.password", kind=faults.BASIC_CREDENTIALS)
GUESSING = Reason(faults.BASIC_GUESSING.label, kind=faults.BASIC_GUESSING)
BUSY = Reason(faults.BASIC_BUSY.label, kind=faults.BASIC_BUSY)
STORE_DOWN = Reason(faults.USER_STORE_DOWN.label, kind=faults.USER_STORE_DOWN)

KNOWN_BYTES = 8 << 20
MAX_FAILED = 16_384
MAX_CREDENTIAL_BYTES = 2_048

log = logging.getLogger("microgate.security")


class Basic:
    """One worker's judge of user names and passwords. Raises SettingsError or KeyMaterialError for a store that cannot be."""

    def __init__(self, context: SecurityContext) -> None:
        settings = context.settings
        rules = settings.basic_auth
        self._clock = context.clock
        self._mark = context.mark
        bench = HashBench(rules.hash_threads)
        self._stores = making.make(settings, context.extensions, bench)
        self._watched = tuple(store for store in self._stores if store.watches)
        self._known = Verdicts(
            KNOWN_BYTES, settings.caching.token_cache_capacity, context.clock, context.counter, context.gauge
        )
        self._failed: OrderedDict[bytes, float] = OrderedDict()
        self._failed_s = rules.failure_cache_time
        self._longest_s = settings.caching.token_cache_expiry_time
        self._of_address = GuessLimit(rules.failures_per_address, rules.failure_window, context.clock)
        self._of_user = GuessLimit(rules.failures_per_user, rules.failure_window, context.clock)
        retry_after = (b"Retry-After", str(rules.failure_window).encode())
        self._guessing = Fault(faults.BASIC_GUESSING, GUESSING, headers=(retry_after,))
        self._asked: Shared[Consumer] = Shared()
        self._down: set[str] = set()
        self._digest = keyed_digest()
        known = recall_by(self._known.find, self._digest_of)
        self.recall = self._recall_followed(known) if self._watched else known
        context.closers += [bench.close, *(store.close for store in self._stores)]

    def judge(self, exchange: Exchange, value: bytes, credential: bytes) -> Consumer | Awaitable[Consumer]:
        # One verdict for a credential, however its field is written; `recall` finds it by the usual way of writing.
        digest = self._digest(b"Basic " + credential)
        self._follow()
        consumer = self._known.find(digest)
        if consumer is not None:
            return consumer
        user, password = read(credential)
        if self._clock() < self._failed.get(digest, 0.0):
            raise TokenError(PASSWORD)
        address = network_of(exchange.client)

        def welcome() -> None:
            if self._of_address.is_reached(address) or self._of_user.is_reached(user):
                raise TokenError(GUESSING, self._guessing)

        welcome()
        attempt = Attempt(user, password, address, welcome)
        return self._asked.get(digest, lambda: self._verify(attempt, digest, credential))

    def _digest_of(self, exchange: Exchange) -> bytes:
        value = exchange.authorization
        return self._digest(value) if value[:6] == b"Basic " else b""

    def _follow(self) -> None:
        """Forget all where a store has changed."""
        if sum(store.changed() for store in self._watched):
            self._known.clear()
            self._failed.clear()

    def _recall_followed(self, known: Recall) -> Recall:
        def recall(exchange: Exchange) -> Consumer | None:
            self._follow()
            return known(exchange)

        return recall

    async def _verify(self, attempt: Attempt, digest: bytes, credential: bytes) -> Consumer:
        for store in self._stores:
            answer = await self._ask(store, attempt)
            if isinstance(answer, Found):
                return self._admit(answer, store, digest, credential)
            if answer is Refused.WRONG:
                break
        self._of_address.count(attempt.address)
        self._of_user.count(attempt.user)
        if self._failed_s:
            self._failed[digest] = self._clock() + self._failed_s
            if len(self._failed) > MAX_FAILED:
                self._failed.popitem(last=False)
        raise TokenError(PASSWORD)

    async def _ask(self, store: UserStore, attempt: Attempt) -> Found | Refused:
        try:
            answer = await store.check(attempt)
        except BusyError:
            raise TokenError(BUSY) from None
        except StoreDownError as error:
            if store.name not in self._down:
                self._down.add(store.name)
                log.warning("the user store `%s` %s", store.name, error)
            if store.passes_when_down:
                return Refused.UNKNOWN
            raise TokenError(STORE_DOWN) from None
        if store.name in self._down:
            self._down.discard(store.name)
            log.warning("the user store `%s` answers again", store.name)
        return answer

    def _admit(self, found: Found, store: UserStore, digest: bytes, credential: bytes) -> Consumer:
        consumer = Consumer(found.name, "basic", scopes=found.scopes)
        consumer.application = "anonymous"  # WSO2 §6.4
        consumer.token = blake2b(credential, digest_size=16).digest()
        self._mark(consumer, credential)
        lasts_s = min(store.cache_s, self._longest_s)
        if lasts_s:
            self._known.keep(digest, Verdict(self._clock() + lasts_s, consumer))
        return consumer


def read(credential: bytes) -> tuple[str, bytes]:
    """User and password, which may hold colons (unlike under WSO2); raises TokenError.

    A line end after the password is dropped: it comes from `echo name:password | base64`, which 3.x bore.
    """
    if len(credential) > MAX_CREDENTIAL_BYTES:
        raise TokenError(FORMAT)
    try:
        text = base64.b64decode(credential, validate=True).decode().rstrip("\r\n")
    except (binascii.Error, ValueError):
        raise TokenError(FORMAT) from None
    user, colon, password = text.partition(":")
    # RFC 7617 §2: no control characters in either.
    if not colon or any(character < " " or "\x7f" <= character < "\xa0" for character in text):
        raise TokenError(FORMAT)
    encoded = password.encode()
    if not user or not encoded or len(encoded) > MAX_PASSWORD_BYTES:
        raise TokenError(PASSWORD)
    return user, encoded
