"""How a credential is known again that was judged good before: by a digest with a key of this process, reckoned once for a head.

Memories that are keyed by it hold no secret, and nobody can choose what meets in one. What the memory says is asked for each
request, so that ends, changes and revocations are seen at once; only the digest is kept with the head.
"""

from __future__ import annotations

import os
from hashlib import blake2s
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Consumer, Exchange

Recall: TypeAlias = "Callable[[Exchange], Consumer | None]"


def keyed_digest() -> Callable[[bytes], bytes]:
    """A function that gives 16 bytes for any number."""
    keyed = blake2s(digest_size=16, key=os.urandom(32))

    def digest(data: bytes) -> bytes:
        one = keyed.copy()  # half the time of making one
        one.update(data)
        return one.digest()

    return digest


def recall_by(find: Callable[[bytes], Consumer | None], digest_of: Callable[[Exchange], bytes]) -> Recall:
    """What `find` knows of the credential of a request.

    `digest_of` looks at the fields alone, never at the target; it gives b"" for what has to be judged. What it gives is kept
    under the function that this returns, so one is made for each way of looking and not for each operation.
    """

    def recall(exchange: Exchange) -> Consumer | None:
        derived = exchange.derived
        if derived is None:
            return find(digest_of(exchange))
        digest = derived.get(recall)
        if digest is None:
            digest = derived[recall] = digest_of(exchange)
        return find(digest)

    return recall


def first_of(recalls: list[Recall]) -> Recall:
    """The first that knows the caller."""
    if len(recalls) == 1:
        return recalls[0]

    def recall(exchange: Exchange) -> Consumer | None:
        for one in recalls:
            consumer = one(exchange)
            if consumer is not None:
                return consumer
        return None

    return recall
