"""The sources of revocations, one file each with a class `Feed`, and what a source can raise. `jobs.py` follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from microgate.runtime.security.revocation.book import Book


class FeedError(Exception):
    """The source cannot be had; the message says why, to follow "cannot be had: "."""


class Feed(Protocol):
    """One source. Made with the settings, and with the plan where it runs the project's Python; raises SettingsError."""

    async def follow(self, book: Book) -> None:
        """Tell the book all that is and will be revoked. Ends with an exception alone: FeedError, FetchError or OSError."""
