"""The store of opaque API keys: an SQLite file with the digest of each key and what the key is good for, never the key.

`microgate key` writes it, `key_following.py` reads it while a gateway serves. Every change has a number, so that a reader asks
for what is new alone. It keeps the rollback journal: a reader then needs no right to write beside the file.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
import zlib
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from microgate.errors import KeyMaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = b"mgk_"
SECRET_CHARACTERS = 40  # of 62 kinds: 238 bits, so a plain digest of a key tells nothing
CHECK_CHARACTERS = 6
MAX_KEYS = 100_000  # of one store; every worker holds their records
KEPT_DEAD_SECONDS = 30 * 86_400  # so long a revoked or expired key is still listed
BUSY_SECONDS = 5.0

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = len(PREFIX) + SECRET_CHARACTERS + CHECK_CHARACTERS
_APPLICATION_ID = 0x6D676B31  # "mgk1", so that no other SQLite file is taken for a store
_SCHEMA = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, record BLOB NOT NULL, ended REAL NOT NULL, change INTEGER NOT NULL
);
CREATE INDEX api_keys_by_change ON api_keys (change);
"""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key is good for. Times are seconds since 1970, 0 for never; an empty list of APIs, addresses or pages is all."""

    id: str
    consumer: str
    created: int
    application: str = ""
    scopes: tuple[str, ...] = ()
    tier: str = ""
    key_type: str = "PRODUCTION"
    apis: tuple[tuple[str, str], ...] = ()  # name, version or "*"
    addresses: tuple[str, ...] = ()
    referers: tuple[str, ...] = ()
    expires: int = 0
    revoked: int = 0

    def state(self, now: float) -> str:
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and now >= self.expires else "active"


def new_key() -> str:
    """A key that nobody can guess, with a checksum, so that most garbage needs no search."""
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))
    return PREFIX.decode() + secret + _checksum(secret.encode())


def is_well_formed(key: bytes) -> bool:
    """Whether it has the form of a key and its checksum is right."""
    secret, check = key[len(PREFIX) : -CHECK_CHARACTERS], key[-CHECK_CHARACTERS:]
    return len(key) == _LENGTH and key.startswith(PREFIX) and _checksum(secret).encode() == check


def digest_of(key: bytes) -> bytes:
    return sha256(key).digest()


def _checksum(secret: bytes) -> str:
    number, text = zlib.crc32(secret), ""
    for _ in range(CHECK_CHARACTERS):
        number, position = divmod(number, len(_ALPHABET))
        text = _ALPHABET[position] + text
    return text


class KeyBook:
    """One store, opened for each question anew. All methods raise KeyMaterialError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, record: Record) -> str:
        """Add a key; the store is made where there is none. The key itself is nowhere but in what this returns."""
        key = new_key()
        with self._writing(create=True) as database:
            if database.execute("SELECT count(*) FROM api_keys").fetchone()[0] >= MAX_KEYS:
                raise KeyMaterialError(f"the store `{self.path}` is full: it has {MAX_KEYS} keys", "use another store")
            self._put(database, record, digest_of(key.encode()))
        return key

    def records(self) -> list[Record]:
        """All of them, oldest first."""
        with self._reading() as database:
            rows = database.execute("SELECT record FROM api_keys").fetchall()
        return sorted((_decode(row[0]) for row in rows), key=lambda record: (record.created, record.id))

    def revoke(self, key_id: str) -> Record:
        """From now on the key is refused."""
        with self._writing() as database:
            record, digest = self._find(database, key_id)
            if not record.revoked:
                record = msgspec.structs.replace(record, revoked=int(time.time()))
                self._put(database, record, digest)
        return record

    def rotate(self, key_id: str, new_id: str, grace_s: int) -> tuple[str, Record]:
        """A new key that is good for the same; the old one ends after `grace_s` seconds."""
        now = int(time.time())
        key = new_key()
        with self._writing() as database:
            record, digest = self._find(database, key_id)
            if record.state(now) != "active":
                raise KeyMaterialError(f"the key `{key_id}` is {record.state(now)}", "create a new one")
            ends = min(now + grace_s, record.expires or now + grace_s)
            old = {"revoked": now} if grace_s == 0 else {"expires": ends}
            self._put(database, msgspec.structs.replace(record, **old), digest)
            fresh = msgspec.structs.replace(record, id=new_id, created=now)
            self._put(database, fresh, digest_of(key.encode()))
        return key, fresh

    def changes(self, since: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The number of the last change, and (digest, encoded record) of what changed after `since`."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT digest, record, change FROM api_keys WHERE change > ? ORDER BY change LIMIT ?",
                (since, MAX_KEYS),
            ).fetchall()
            last = database.execute("SELECT coalesce(max(change), 0) FROM api_keys").fetchone()[0]
        return int(last), [(row[0], row[1]) for row in rows]

    def _find(self, database: sqlite3.Connection, key_id: str) -> tuple[Record, bytes]:
        row = database.execute("SELECT record, digest FROM api_keys WHERE id = ?", (key_id,)).fetchone()
        if row is None:
            raise KeyMaterialError(f"the store `{self.path}` has no key `{key_id}`", "`microgate key list` shows them")
        return _decode(row[0]), row[1]

    @staticmethod
    def _put(database: sqlite3.Connection, record: Record, digest: bytes) -> None:
        """The highest number stays when dead keys leave, because what is put now has it."""
        ends = [moment for moment in (record.revoked, record.expires) if moment]
        database.execute(
            "INSERT OR REPLACE INTO api_keys VALUES (?, ?, ?, ?, (SELECT coalesce(max(change), 0) + 1 FROM api_keys))",
            (record.id, digest, msgspec.json.encode(record), min(ends, default=1 << 60)),
        )
        database.execute("DELETE FROM api_keys WHERE ended < ?", (time.time() - KEPT_DEAD_SECONDS,))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise KeyMaterialError(
                f"the store of API keys `{self.path}` is not there",
                "`microgate key create` makes it with its first key",
            )
        with self._connection("ro") as database:
            yield database

    @contextmanager
    def _writing(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        if create and not self.path.exists():
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
            except OSError as error:
                reason = (error.strerror or "not a usable path").lower()
                raise KeyMaterialError(f"the store `{self.path}` cannot be made: {reason}") from None
        elif not self.path.is_file():
            raise KeyMaterialError(f"the store of API keys `{self.path}` is not there", "check `--store`")
        with self._connection("rw", create=create) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.rollback()
                raise
            database.commit()

    @contextmanager
    def _connection(self, mode: str, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                self._prepare(database, create=create)
                yield database
        except sqlite3.Error as error:
            raise KeyMaterialError(
                f"the store of API keys `{self.path}` cannot be used: {str(error).lower()}",
                "check that it is a file of `microgate key`, and its permissions",
            ) from None

    def _prepare(self, database: sqlite3.Connection, *, create: bool) -> None:
        application = database.execute("PRAGMA application_id").fetchone()[0]
        if application == _APPLICATION_ID:
            return
        empty = not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not (create and empty and application == 0):
            raise KeyMaterialError(
                f"`{self.path}` is no store of API keys", "`microgate key create --store FILE` makes one"
            )
        database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")


def _decode(data: bytes) -> Record:
    try:
        return msgspec.json.decode(data, type=Record)
    except msgspec.DecodeError:
        raise KeyMaterialError("a record of the store of API keys cannot be read") from None
