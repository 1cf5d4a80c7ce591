"""The store of opaque API keys: the digest of each key and what the key is good for, never the key.

`microgate key` writes it, `key_following.py` reads it while a gateway serves. A file whose name ends in `.json` is a document
(`document_store.py`), any other one is SQLite (`sqlite_store.py`).
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from microgate.errors import KeyMaterialError
from microgate.runtime.security.api_keys.document_store import DocumentStore
from microgate.runtime.security.api_keys.key_records import MAX_KEYS, Record, digest_of, new_key

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

Change = tuple[bytes, bytes]  # digest, encoded record


class Pages(Protocol):
    """An open store."""

    def __len__(self) -> int: ...
    def records(self) -> list[Record]: ...
    def find(self, key_id: str) -> tuple[Record, bytes] | None: ...
    def put(self, record: Record, digest: bytes) -> None: ...
    def changes(self, since: int) -> tuple[int, list[Change]]: ...


class Store(Protocol):
    """One file. What is put while it is open for writing stands there as a whole or not at all."""

    def reading(self) -> AbstractContextManager[Pages]: ...
    def writing(self, *, create: bool = False) -> AbstractContextManager[Pages]: ...


class KeyBook:
    """One store, opened for each question anew. All methods raise KeyMaterialError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._store = _store_of(path)

    def create(self, record: Record) -> str:
        """Add a key; the store is made where there is none. The key itself is nowhere but in what this returns."""
        key = new_key()
        with self._store.writing(create=True) as pages:
            if len(pages) >= MAX_KEYS:
                raise KeyMaterialError(f"the store `{self.path}` is full: it has {MAX_KEYS} keys", "use another store")
            pages.put(record, digest_of(key.encode()))
        return key

    def records(self) -> list[Record]:
        """All of them, oldest first."""
        with self._store.reading() as pages:
            return sorted(pages.records(), key=lambda record: (record.created, record.id))

    def revoke(self, key_id: str) -> Record:
        """From now on the key is refused."""
        with self._store.writing() as pages:
            record, digest = self._find(pages, key_id)
            if not record.revoked:
                record = msgspec.structs.replace(record, revoked=int(time.time()))
                pages.put(record, digest)
        return record

    def rotate(self, key_id: str, new_id: str, grace_s: int) -> tuple[str, Record]:
        """A new key that is good for the same; the old one ends after `grace_s` seconds."""
        now = int(time.time())
        key = new_key()
        with self._store.writing() as pages:
            record, digest = self._find(pages, key_id)
            if record.state(now) != "active":
                raise KeyMaterialError(f"the key `{key_id}` is {record.state(now)}", "create a new one")
            ends = min(now + grace_s, record.expires or now + grace_s)
            old = {"revoked": now} if grace_s == 0 else {"expires": ends}
            pages.put(msgspec.structs.replace(record, **old), digest)
            fresh = msgspec.structs.replace(record, id=new_id, created=now)
            pages.put(fresh, digest_of(key.encode()))
        return key, fresh

    def changes(self, since: int) -> tuple[int, list[Change]]:
        """The number of the last change, and what changed after `since`."""
        with self._store.reading() as pages:
            return pages.changes(since)

    def prove_permissions(self) -> None:
        """Refuse a file into which any user of the machine can write a key."""
        try:
            mode = self.path.stat().st_mode
        except OSError:
            raise KeyMaterialError(f"the store of API keys `{self.path}` is not there") from None
        if os.name == "posix" and mode & stat.S_IWOTH:
            raise KeyMaterialError(
                f"the store of API keys `{self.path}` may be written by everybody", f"chmod o-w {self.path}"
            )

    def _find(self, pages: Pages, key_id: str) -> tuple[Record, bytes]:
        found = pages.find(key_id)
        if found is None:
            raise KeyMaterialError(f"the store `{self.path}` has no key `{key_id}`", "`microgate key list` shows them")
        return found


def _store_of(path: Path) -> Store:
    if path.suffix == ".json":
        return DocumentStore(path)
    from microgate.runtime.security.api_keys.sqlite_store import SqliteStore

    return SqliteStore(path)
