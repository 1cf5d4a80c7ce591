"""A store of opaque API keys in one JSON document, a line for each key: to be looked at, reviewed and copied.

A change replaces the file as a whole, so a reader sees the old one or the new one, whenever a writer dies; writers wait for
each other at a lock beside it. Whatever is not entirely a store is none: no key is left out in silence.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import msgspec

from microgate.errors import KeyMaterialError
from microgate.runtime.security.api_keys.key_records import KEPT_DEAD_SECONDS, MAX_KEYS, Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microgate.runtime.security.api_keys.key_book import Change

MAX_BYTES = 64 << 20
BUSY_SECONDS = 5.0
LOOK_SECONDS = 0.02

_DIGEST_CHARACTERS = 64


class _Line(Record, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A key with the digest that stands for it. A misspelt member must not widen what the key is good for."""

    digest: str


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1] = msgspec.field(name="microgateKeys")
    keys: list[_Line]


class DocumentStore:
    """One file. Raises KeyMaterialError where it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def reading(self) -> Iterator[Lines]:
        yield Lines(self._read())

    @contextmanager
    def writing(self, *, create: bool = False) -> Iterator[Lines]:
        # What is replaced is the file itself and not a link to it.
        try:
            path = self._path.resolve()
            with _locked(path):
                is_new = create and (not path.exists() or not path.stat().st_size)
                lines = Lines([] if is_new else self._read())
                yield lines
                _replace(path, lines.document())
        except OSError as error:
            raise KeyMaterialError(f"the store `{self._path}` cannot be written: {_reason(error)}") from None
        except RuntimeError:
            raise KeyMaterialError(f"the store `{self._path}` cannot be written: its links lead nowhere") from None

    def _read(self) -> list[_Line]:
        if not self._path.is_file():
            raise KeyMaterialError(
                f"the store of API keys `{self._path}` is not there",
                "`microgate key create` makes it with its first key",
            )
        try:
            with self._path.open("rb") as opened:
                data = opened.read(MAX_BYTES + 1)
        except OSError as error:
            raise KeyMaterialError(f"the store of API keys `{self._path}` cannot be read: {_reason(error)}") from None
        if len(data) > MAX_BYTES:
            raise KeyMaterialError(
                f"the store of API keys `{self._path}` is larger than {MAX_BYTES} bytes", "use an SQLite store"
            )
        trouble = ""
        lines: list[_Line] = []
        try:
            lines = msgspec.json.decode(data, type=_Document).keys
            trouble = _trouble_with(lines)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            trouble = str(error).lower() or "it is nested too deep"
        if trouble:
            raise KeyMaterialError(
                f"`{self._path}` is no whole store of API keys: {trouble}", "`microgate key` writes whole ones"
            )
        return lines


class Lines:
    """What stands in an open store."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines = {line.id: line for line in lines}

    def __len__(self) -> int:
        return len(self._lines)

    def records(self) -> list[Record]:
        return list(self._lines.values())

    def find(self, key_id: str) -> tuple[Record, bytes] | None:
        line = self._lines.get(key_id)
        return (line, bytes.fromhex(line.digest)) if line is not None else None

    def put(self, record: Record, digest: bytes) -> None:
        members = {name: getattr(record, name) for name in Record.__struct_fields__}
        self._lines[record.id] = _Line(**members, digest=digest.hex())
        gone = time.time() - KEPT_DEAD_SECONDS
        self._lines = {key_id: line for key_id, line in self._lines.items() if line.ends >= gone}

    def changes(self, since: int) -> tuple[int, list[Change]]:
        """All of them: a document has no history. A replaced file is read as a whole anyway."""
        encode = msgspec.json.encode
        return 0, [(bytes.fromhex(line.digest), encode(line)) for line in self._lines.values()]

    def document(self) -> bytes:
        lines = b",\n".join(msgspec.json.encode(line) for line in self._lines.values())
        return b'{"microgateKeys": 1, "keys": [\n' + lines + b"\n]}\n"


def _trouble_with(lines: list[_Line]) -> str:
    if len(lines) > MAX_KEYS:
        return f"it has more than {MAX_KEYS} keys"
    if any(not _is_digest(line.digest) for line in lines):
        return "a digest is none"
    if len({line.id for line in lines}) < len(lines) or len({line.digest for line in lines}) < len(lines):
        return "it has a key twice"
    return ""


def _is_digest(text: str) -> bool:
    return len(text) == _DIGEST_CHARACTERS and not text.strip("0123456789abcdef")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until nobody else writes. The kernel gives the lock back for a writer that dies, so its file stays where it is."""
    try:
        import fcntl
    except ImportError:
        raise KeyMaterialError(f"`{path}` cannot be locked on this system", "use an SQLite store") from None
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            # Whoever else writes here must not find a lock that only root can open.
            _give(descriptor, path.parent.stat())
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise KeyMaterialError(f"the store `{path}` is being written by another", "try again") from None
                time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, document: bytes) -> None:
    """Put the document in the file's place, all or nothing, with the owner and the permissions that the file had."""
    fresh = path.with_name(f".{path.name}.new")
    # One that a writer left behind when it died.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            if path.exists():
                before = path.stat()
                _give(descriptor, before)
                os.fchmod(descriptor, before.st_mode & 0o777)
            opened.write(document)
            opened.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(descriptor: int, like: os.stat_result) -> None:
    """Give an open file the owner and group of another one."""
    if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(descriptor, like.st_uid, like.st_gid)


def _reason(error: OSError) -> str:
    return (error.strerror or "not a usable path").lower()
