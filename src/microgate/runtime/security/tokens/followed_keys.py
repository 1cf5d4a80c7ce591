"""A worker's copy of a key set that the steward follows (`keys.py`), and the one wait that a request may do for it.

A token with a key id that the copy lacks asks the steward, once for all requests of this worker that wait meanwhile; so does
one that no key verifies, where none was found by its id. The steward answers at once where a fetch is not due, so that made-up
tokens cost the issuer nothing.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.control import KeySet, KeyWanted
from microgate.runtime.security import refusals
from microgate.runtime.security.refusals import TokenError, UnknownKeyError
from microgate.runtime.security.tokens import key_sets
from microgate.runtime.security.tokens.key_sets import KeySetError
from microgate.runtime.security.tokens.signatures import UnusableKeyError, VerificationKey, from_jwk

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.control import Channel

WAIT_SECONDS = 5.0
MAX_WAITING = 1_024
MAX_TRIED = 4  # keys that one token is held against

log = logging.getLogger("microgate.security")


class FollowedKeys:
    """The keys of one source. `on_loss` is called when a key that may have vouched for tokens is gone."""

    def __init__(self, source: str, channel: Channel | None, on_loss: Callable[[], None]) -> None:
        self.source = source
        self._channel = channel
        self._on_loss = on_loss
        self._keys: list[VerificationKey] = []
        self._members: frozenset[bytes] = frozenset()
        self._answer: asyncio.Future[None] | None = None
        self._waiting = 0
        self._ask_again_at = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        if channel is not None:
            channel.subscribe(KeySet, self._on_key_set)

    def load(self, document: bytes) -> None:
        """Take a document as the whole set; raises KeySetError and keeps the old one when it is none."""
        members = key_sets.read(document)
        keys: list[VerificationKey] = []
        for member in members:
            try:
                keys.append(from_jwk(member))
            except UnusableKeyError as error:
                log.warning("a key of %s is left out: key id %r: %s", self.source, member.get("kid"), error)
        if not keys:
            raise KeySetError("has no key that can verify a token")
        self._replace(keys, frozenset(msgspec.json.encode(member) for member in members))

    def candidates(self, algorithm: str, key_id: str | None) -> list[VerificationKey]:
        """The keys a token may have been signed with; raises UnknownKeyError where the issuer should be asked."""
        named = [key for key in self._keys if key.key_id == key_id] if key_id is not None else self._keys
        chosen = named or [key for key in self._keys if key.key_id is None]
        fitting = [key for key in chosen if key.fits(algorithm)]
        if fitting:
            return fitting[:MAX_TRIED]
        if key_id is not None and named:
            raise TokenError(refusals.ALGORITHM)
        reason = refusals.KEY_UNKNOWN if self._keys else refusals.KEYS_UNAVAILABLE
        raise UnknownKeyError(reason, lambda: self._ask(key_id or ""))

    def unverified(self, key_id: str | None) -> TokenError:
        """Why a token is refused that none of its candidates verifies.

        A key id is optional (RFC 7517 §4.5): keys that were not found by one may have been replaced since.
        """
        if key_id is not None and any(key.key_id == key_id for key in self._keys):
            return TokenError(refusals.SIGNATURE)
        return UnknownKeyError(refusals.SIGNATURE, lambda: self._ask(""))

    def _ask(self, key_id: str) -> asyncio.Future[None] | None:
        answer = self._answer
        if answer is None:
            if self._channel is None or monotonic() < self._ask_again_at:
                return None
            if not self._channel.send(KeyWanted(self.source, key_id)):
                return None
            loop = asyncio.get_running_loop()
            answer = self._answer = loop.create_future()
            loop.call_later(WAIT_SECONDS, self._settle, answer)
        if self._waiting >= MAX_WAITING:
            return None
        self._waiting += 1
        return answer

    def _settle(self, answer: asyncio.Future[None] | None) -> None:
        if answer is not None and answer is self._answer:
            self._answer = None
            self._waiting = 0
            answer.set_result(None)

    def _on_key_set(self, message: KeySet) -> None:
        if message.source != self.source:
            return
        if message.jwks:
            try:
                self.load(message.jwks)
            except KeySetError as error:
                log.warning("the key set of %s %s; the last good one stays in use", self.source, error)
            self._expire_in(message.expires_s)
        if not message.pending:
            self._ask_again_at = monotonic() + message.wait_s
            self._settle(self._answer)

    def _expire_in(self, seconds: float) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if seconds > 0:
            self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        log.error("the key set of %s could not be renewed for too long: its tokens are refused", self.source)
        self._replace([], frozenset())

    def _replace(self, keys: list[VerificationKey], members: frozenset[bytes]) -> None:
        lost = self._members - members
        self._keys, self._members = keys, members
        if lost:
            self._on_loss()
