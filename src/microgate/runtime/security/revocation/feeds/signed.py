"""A signed document of revocations behind an address: a JWS whose payload lists entries.

Whoever carries it can neither add nor take away: it must be signed, not older than the one before, and not over.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.errors import KeyMaterialError
from microgate.runtime.security.refusals import TokenError
from microgate.runtime.security.revocation.feeds import FeedError
from microgate.runtime.security.revocation.feeds.web import Site
from microgate.runtime.security.tokens.compact import decode_base64url

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book
    from microgate.runtime.security.tokens.signatures import VerificationKey
    from microgate.settings.model import Settings


class Feed:
    def __init__(self, settings: Settings) -> None:
        feed = settings.revocation.feed
        self._site = Site(settings, feed.url)
        self._pause = feed.poll_interval_in_millis / 1000
        self._key = _key(feed.certificate_file)
        self._issued = 0.0
        self._until = float("inf")

    async def follow(self, book: Book) -> None:
        tag = ""
        while True:
            fields = (("If-None-Match", tag),) if tag else ()
            answer = await self._site.get(fields=fields)
            if answer.status == 200:
                await book.replace(await asyncio.to_thread(self._open, answer.body, time.time()))
                tag = answer.field("etag")
            elif answer.status != 304 or not tag:
                raise FeedError(f"the answer is {answer.status}")
            if time.time() >= self._until:
                raise FeedError("the document is over")
            await asyncio.sleep(self._pause)

    def _open(self, body: bytes, now: float) -> list[object]:
        """What a document lists, once it is proved; raises FeedError."""
        signed, _, signature = body.strip().rpartition(b".")
        header, _, payload = signed.partition(b".")
        try:
            head, claims = _decoded(decode_base64url(header)), _decoded(decode_base64url(payload))
            proof = decode_base64url(signature)
        except TokenError:
            raise FeedError("the document is no signed one") from None
        self._verify(head, proof, signed)
        issued, until = claims.get("iat"), claims.get("exp", float("inf"))
        if not isinstance(issued, int | float) or not isinstance(until, int | float):
            raise FeedError("the document does not say when it was made")
        if issued < self._issued:
            raise FeedError("the document is older than the one before")
        if now >= until:
            raise FeedError("the document is over")
        listed = claims.get("revoked")
        if not isinstance(listed, list):
            raise FeedError("the document has no list `revoked`")
        self._issued, self._until = issued, until
        return listed

    def _verify(self, head: dict[str, Any], proof: bytes, signed: bytes) -> None:
        from microgate.runtime.security.tokens.signatures import ALGORITHMS

        algorithm = head.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not self._key.fits(algorithm):
            raise FeedError("the document is signed by an algorithm that does not fit the key")
        if "crit" in head or "b64" in head:
            raise FeedError("the document demands an extension that is not supported")
        if not self._key.verifies(algorithm, proof, signed):
            raise FeedError("the signature of the document is not good")


def _key(file: str) -> VerificationKey:
    from microgate.runtime.security.tokens.signatures import UnusableKeyError, from_pem

    try:
        return from_pem(Path(file).read_bytes())
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        raise KeyMaterialError(f"cannot read `{file}`: {reason}") from None
    except UnusableKeyError as error:
        raise KeyMaterialError(f"`tokenRevocationConfig.feed` cannot use `{file}`: {error}") from None


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        raise FeedError("the document is no signed one") from None
    if not isinstance(found, dict):
        raise FeedError("the document is no signed one")
    return found
