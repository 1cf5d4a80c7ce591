"""A store of opaque API keys in an SQLite file, for many keys: a reader asks for what is new alone.

Every change has a number. It keeps the rollback journal: a reader then needs no right to write beside the file.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from microgate.errors import KeyMaterialError
from microgate.runtime.security.api_keys.key_records import KEPT_DEAD_SECONDS, MAX_KEYS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microgate.runtime.security.api_keys.key_book import Change

BUSY_SECONDS = 5.0

_APPLICATION_ID = 0x6D676B31  # "mgk1", so that no other SQLite file is taken for a store
_NEVER = 1 << 60
_SCHEMA = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, record BLOB NOT NULL, ended REAL NOT NULL, change INTEGER NOT NULL
);
CREATE INDEX api_keys_by_change ON api_keys (change);
"""


class SqliteStore:
    """One file. Raises KeyMaterialError where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        if not self._path.is_file():
            raise KeyMaterialError(
                f"the store of API keys `{self._path}` is not there",
                "`microgate key create` makes it with its first key",
            )
        with self._connection("ro") as database:
            yield Rows(database)

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[Rows]:
        if create and not self._path.exists():
            try:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError as error:
                reason = (error.strerror or "not a usable path").lower()
                raise KeyMaterialError(f"the store `{self._path}` cannot be made: {reason}") from None
        elif not self._path.is_file():
            raise KeyMaterialError(f"the store of API keys `{self._path}` is not there", "check `--store`")
        with self._connection("rw", create=create) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(database)
            except BaseException:
                database.rollback()
                raise
            database.commit()

    @contextmanager
    def _connection(self, mode: str, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        address = f"{self._path.absolute().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                self._prepare(database, create=create)
                yield database
        except sqlite3.Error as error:
            raise KeyMaterialError(
                f"the store of API keys `{self._path}` cannot be used: {str(error).lower()}",
                "check that it is a file of `microgate key`, and its permissions",
            ) from None

    def _prepare(self, database: sqlite3.Connection, *, create: bool) -> None:
        application = database.execute("PRAGMA application_id").fetchone()[0]
        if application == _APPLICATION_ID:
            return
        empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not (create and empty and application == 0):
            raise KeyMaterialError(
                f"`{self._path}` is no store of API keys", "`microgate key create --store FILE` makes one"
            )
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")


class Rows:
    """What stands in an open store."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __len__(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM api_keys").fetchone()[0])

    def records(self) -> list[Record]:
        return [_decode(row[0]) for row in self._database.execute("SELECT record FROM api_keys")]

    def find(self, key_id: str) -> tuple[Record, bytes] | None:
        row = self._database.execute("SELECT record, digest FROM api_keys WHERE id = ?", (key_id,)).fetchone()
        return (_decode(row[0]), row[1]) if row is not None else None

    def put(self, record: Record, digest: bytes) -> None:
        """The highest number stays when dead keys leave, because what is put now has it."""
        self._database.execute(
            "INSERT OR REPLACE INTO api_keys VALUES (?, ?, ?, ?, (SELECT coalesce(max(change), 0) + 1 FROM api_keys))",
            (record.id, digest, msgspec.json.encode(record), min(record.ends, _NEVER)),
        )
        self._database.execute("DELETE FROM api_keys WHERE ended < ?", (time.time() - KEPT_DEAD_SECONDS,))

    def changes(self, since: int) -> tuple[int, list[Change]]:
        rows = self._database.execute(
            "SELECT digest, record FROM api_keys WHERE change > ? ORDER BY change LIMIT ?", (since, MAX_KEYS)
        ).fetchall()
        last = self._database.execute("SELECT coalesce(max(change), 0) FROM api_keys").fetchone()[0]
        return int(last), [(row[0], row[1]) for row in rows]


def _decode(data: bytes) -> Record:
    try:
        return msgspec.json.decode(data, type=Record)
    except ValueError:
        raise KeyMaterialError("a record of the store of API keys cannot be read") from None
