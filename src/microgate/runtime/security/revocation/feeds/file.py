"""A file of revocations: an entry on each line, a JSON object or a bare value; read again when it changes.

Empty lines and lines that begin with `#` say nothing. What is no longer in the file is no longer revoked.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

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
                    await book.replace(lines(opened))
            await asyncio.sleep(LOOK_SECONDS)


def lines(text_lines: Iterable[bytes]) -> Iterator[object]:
    """The entries of a text."""
    for line in text_lines:
        text = line.strip()
        if text and not text.startswith(b"#"):
            yield read_value(text)


def read_value(text: bytes) -> object:
    """One entry as text: JSON where it looks like an object, else the bare value."""
    if not text.startswith(b"{"):
        return text.decode(errors="replace")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None  # which is no entry, and is told of as such
