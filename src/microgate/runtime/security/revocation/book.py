"""The table as one source sees it: what it says goes in, in pieces that leave the loop room, and how the source is.

The steward gives each feed a `Book`. A line in the log tells of each change of a source's state, none of what is revoked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from microgate.runtime.security.revocation import entries, table
from microgate.runtime.security.revocation.table import DOWN_SINCE, LOADED, READING, SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microgate.runtime.security.counting import Counter
    from microgate.runtime.security.revocation.entries import Terms
    from microgate.runtime.security.revocation.table import WritableTable

PIECE = 500  # entries between two turns of the loop

log = logging.getLogger("microgate.revocation")


class _Misread:
    """What of one reading was no entry: how many there were, and the first of them."""

    def __init__(self, place: Callable[[], str] | None) -> None:
        self._place = place
        self._count = 0
        self._first = ""

    def add(self, why: str) -> None:
        self._count += 1
        if not self._first:
            self._first = f"{self._place()}: {why}" if self._place is not None else why

    def told(self, name: str) -> str:
        if not self._count:
            return ""
        if self._count == 1:
            return f"the {name} names something that cannot be revoked: {self._first}; it is passed over"
        return (
            f"the {name} names {self._count} things that cannot be revoked, first {self._first}; they are passed over"
        )


class Book:
    """`name` is how logs call the source."""

    def __init__(self, written: WritableTable, source: str, name: str, terms: Terms, counter: Counter) -> None:
        self.name = name
        self._table = written
        self._source = SOURCES.index(source)
        self._terms = terms
        self._added = counter("revocations_added")
        self._misread = counter("revocations_misread")
        self._trouble: str | None = None
        self._reading = False
        self._misread_told = ""
        self._full_told = False

    def begin(self) -> None:
        """A whole reading begins: what is added from now on belongs to it, even where the reading itself just missed it."""
        if not self._reading:
            self._reading = True
            self._table.set_source(self._source, READING, 1 - self._table.of_source(self._source, READING))

    async def replace(self, said: Iterable[object], place: Callable[[], str] | None = None) -> None:
        """All that the source says; what it said before and no longer does stands only until no clock could take it for new.

        `place` tells where in the source the entry stands that was taken last.
        """
        self.begin()
        misread = _Misread(place)
        count = await self._enter(said, misread)
        self._tell_misread(misread.told(self.name))
        await self.finish(count)

    async def finish(self, count: int) -> None:
        """The reading that began was whole, with so many entries."""
        self._reading = False
        for _ in self._table.release_unread(self._source, self.linger_until()):
            await asyncio.sleep(0)
        self._table.set_source(self._source, LOADED, 1)
        self._up(f"{count} entries")

    async def add(self, said: Iterable[object]) -> None:
        """More that the source says."""
        misread = _Misread(None)
        await self._enter(said, misread)
        # Messages come one by one, and each may be wrong: the first of them is told of.
        if not self._misread_told:
            self._tell_misread(misread.told(self.name))

    def release(self, key: bytes) -> None:
        """One entry that the source took back."""
        self._table.release(key, self._source, self.linger_until())

    def linger_until(self) -> int:
        return int(time.time()) + self._terms.leeway

    def listening(self) -> None:
        """The source is there and says nothing of what was before."""
        self._table.set_source(self._source, LOADED, 1)
        self._up("it tells of revocations as they happen")

    def down(self, why: str) -> None:
        """The source cannot be asked; what it has said stays in force."""
        if not self._trouble:
            known = "what it has said stays in force"
            if not self._table.of_source(self._source, LOADED):
                known = "nothing of it is known, and until it is there `tokenRevocationConfig.whenUnavailable` decides"
            log.warning("revocations of the %s cannot be had: %s; %s", self.name, why, known)
        if not self._table.of_source(self._source, DOWN_SINCE):
            self._table.set_source(self._source, DOWN_SINCE, int(time.time()))
        self._trouble = why

    def key_of(self, said: object) -> bytes | None:
        """By what the table knows an entry."""
        try:
            entry = entries.read(said, 0, self._terms)
        except ValueError:
            return None
        return entry.key if entry is not None else None

    def _up(self, what: str) -> None:
        if self._trouble != "":
            log.info("the %s is there: %s", self.name, what)
        self._trouble = ""
        self._table.set_source(self._source, DOWN_SINCE, 0)

    async def _enter(self, said: Iterable[object], misread: _Misread) -> int:
        """How many entries there were. The epoch turns after each piece, so that what is in counts at once."""
        now, count, news = int(time.time()), 0, 0
        full_before = self._table.cells[table.REFUSED_ENTRIES]
        for one in said:
            count += 1
            news += self._enter_one(one, now, misread)
            if count % PIECE == 0:
                self._turn(news)
                news = 0
                await asyncio.sleep(0)
        self._turn(news)
        self._tell_full(self._table.cells[table.REFUSED_ENTRIES] - full_before)
        return count

    def _enter_one(self, said: object, now: int, misread: _Misread) -> bool:
        try:
            entry = entries.read(said, now, self._terms)
        except ValueError as error:
            self._misread(1)
            misread.add(str(error))
            return False
        return entry is not None and self._table.add(entry, self._source, now)

    def _tell_misread(self, told: str) -> None:
        """Once, however often the source says the same again."""
        if told and told != self._misread_told:
            log.warning("%s", told)
        self._misread_told = told

    def _turn(self, news: int) -> None:
        if news:
            self._added(news)
            self._table.turn()

    def _tell_full(self, refused: int) -> None:
        if refused and not self._full_told:
            log.error(
                "the table of revocations is full: %d entries of the %s found no room; raise `tokenRevocationConfig.capacity`",
                *(refused, self.name),
            )
        self._full_told = refused > 0
