"""A worker's view of the store of opaque API keys, never older than a second, and never read on a request's way.

A thread looks at the file at intervals and reads what has changed. A store that is away or broken leaves what was read last in
use. `key_book.py` knows the file, `scheme.py` asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from microgate.errors import KeyMaterialError
from microgate.runtime.exchange import Application
from microgate.runtime.security.api_keys.key_book import KeyBook
from microgate.runtime.security.api_keys.key_holders import KeyHolder
from microgate.runtime.security.api_keys.key_records import Record, digest_of, is_well_formed
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.revocation import marks

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.5
SETTLED_SECONDS = 2.0  # a file that was written to just now may be written to again without its times showing it

MALFORMED = Reason("auth.api_key.malformed")
UNKNOWN = Reason("auth.api_key.unknown")
REVOKED = Reason("auth.api_key.revoked")
EXPIRED = Reason("auth.api_key.expired")
UNREADABLE = Reason("auth.api_key.record")

log = logging.getLogger("microgate.security")

Stamp = tuple[int, int, int]


class Reading(NamedTuple):
    """What the thread found: `whole` takes the place of all that was known, `stamp` is None where it may not be the last word."""

    stamp: Stamp | None
    inode: int
    whole: bool
    last: int
    changes: list[tuple[bytes, bytes]]


class FollowedBook:
    """The records of one store by the digests of their keys. `on_change` is called after each change."""

    def __init__(self, file: str) -> None:
        self.loaded = False
        self.on_change: Callable[[], None] = _nothing
        self._book = KeyBook(Path(file))
        self._records: dict[bytes, bytes] = {}
        self._last = 0  # number of the last change that was read
        self._stamp: Stamp | None = None
        self._inode = 0
        self._trouble = ""
        self._first: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def load(self) -> None:
        """Wait for the first reading; from then on the store is followed until `close`."""
        if self._first is None:
            self._first = asyncio.get_running_loop().create_future()
            self._look()
        await asyncio.shield(self._first)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._read).add_done_callback(self._on_read)

    def _on_read(self, reading: asyncio.Future[Reading | None]) -> None:
        if self._closed or reading.cancelled():
            return
        try:
            found = reading.result()
        except KeyMaterialError as error:
            if str(error) != self._trouble:
                log.error("%s; the keys that were read last stay in use", error)  # noqa: TRY400 - the error is the user's
            self._trouble = str(error)
        else:
            self._trouble = ""
            if found is not None:
                self._take(found)
        assert self._first is not None
        if not self._first.done():
            self.loaded = True
            self._first.set_result(None)
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _take(self, found: Reading) -> None:
        before = self._records
        if found.whole:
            self._records = {}
        self._records.update(found.changes)
        self._last = found.last
        self._stamp = found.stamp
        self._inode = found.inode
        # A document is read as a whole some times after each change.
        if self._records != before if found.whole else found.changes:
            self.on_change()

    def _read(self) -> Reading | None:
        """What is new, None for nothing. In a thread: nothing of ours is changed here."""
        try:
            status = self._book.path.stat()
        except OSError:
            raise KeyMaterialError(f"the store of API keys `{self._book.path}` is not there") from None
        stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
        if stamp == self._stamp:
            return None
        self._book.prove_permissions()
        settled = time.time() - status.st_mtime > SETTLED_SECONDS
        whole = stamp[1] != self._inode or self._last == 0
        last, changes = self._book.changes(0 if whole else self._last)
        if last < self._last and not whole:
            whole = True
            last, changes = self._book.changes(0)
        return Reading(stamp if settled else None, stamp[1], whole, last, changes)

    def verify(self, credential: bytes, now: float) -> KeyHolder:
        """Who holds the key; raises TokenError."""
        if not is_well_formed(credential):
            raise TokenError(MALFORMED)
        data = self._records.get(digest_of(credential))
        if data is None:
            raise TokenError(UNKNOWN)
        try:
            record = msgspec.json.decode(data, type=Record)
        except ValueError:
            raise TokenError(UNREADABLE) from None
        if record.revoked:
            raise TokenError(REVOKED)
        if record.state(now) != "active":
            raise TokenError(EXPIRED)
        return holder_of(record)


def holder_of(record: Record) -> KeyHolder:
    holder = KeyHolder(record.consumer, key_type=record.key_type, scopes=frozenset(record.scopes))
    holder.scoped = True
    if record.application or record.tier:
        holder.application_details = Application(name=record.application, tier=record.tier)
    holder.application = record.application
    holder.apis = frozenset(record.apis) if record.apis else None
    holder.until = record.expires or float("inf")
    holder.revocation_keys = (marks.of_value(record.id.encode()),)
    holder.claims = {"key_id": record.id}
    holder.bind(record.addresses or None, record.referers or None)
    return holder


def _nothing() -> None:
    pass
