"""A file of revocations: an entry on each line, a JSON object or a bare value; read again when it changes.

Empty lines and lines that begin with `#` say nothing. What is no longer in the file is no longer revoked. Of what is no entry the
log tells the line.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.security.revocation.entries import Unreadable
from microgate.runtime.security.revocation.feeds import FeedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

LOOK_SECONDS = 0.25
MAX_BYTES = 512 << 20


class Feed:
    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.revocation.file)

    async def follow(self, book: Book) -> None:
        seen = None
        while True:
            status = self._path.stat()
            now = (status.st_mtime_ns, status.st_ino, status.st_size)
            if now != seen:
                if status.st_size > MAX_BYTES:
                    raise FeedError(f"it is larger than {MAX_BYTES} bytes")
                seen = now
                # Line by line, so that a long one takes no memory.
                with self._path.open("rb") as opened:
                    entries = Lines(opened)
                    await book.replace(entries, entries.place)
            await asyncio.sleep(LOOK_SECONDS)


class Lines:
    """The entries of a text, and where the one stands that was read last."""

    def __init__(self, text_lines: Iterable[bytes]) -> None:
        self._lines = text_lines
        self._number = 0

    def __iter__(self) -> Iterator[object]:
        for line in self._lines:
            self._number += 1
            text = line.strip()
            if text and not text.startswith(b"#"):
                said = read_value(text)
                # Such as `0a1b # lost`: as one value it would revoke nothing, and nobody would know.
                is_torn = isinstance(said, str) and len(said.split()) > 1
                yield Unreadable("a revoked value has no blanks inside") if is_torn else said

    def place(self) -> str:
        return f"line {self._number}"


def read_value(text: bytes) -> object:
    """One entry as text: JSON where it begins like a value of JSON, else the bare value."""
    if not text.startswith((b"{", b"[", b'"')):
        return text.decode(errors="replace")
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Unreadable("it begins like JSON and is none")
