"""The steward's work for revocations: one job follows each source, another one lets old entries go and minds `closed`.

Only the generation that answers for the gateway does it, so that the table has one writer. `feeds/` knows the sources.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from microgate.errors import KeyMaterialError, SettingsError
from microgate.runtime.messaging.brokers import Brokers
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.fetch import FetchError
from microgate.runtime.security.revocation import table
from microgate.runtime.security.revocation.book import Book
from microgate.runtime.security.revocation.entries import Terms
from microgate.runtime.security.revocation.feeds import Feed, FeedError
from microgate.runtime.security.revocation.table import DOWN_SINCE, LOADED, READING, SOURCES, Table, WritableTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microgate.plan.model import Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.security.counting import Counter
    from microgate.runtime.security.revocation.table import Region
    from microgate.settings.model import Settings

FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 15.0
FIRM_SECONDS = 10.0  # a source that was there so long is tried again at once
LOOK_SECONDS = 0.1
BLOCKS_PER_LOOK = 64  # of the table, when old entries are let go

log = logging.getLogger("microgate.revocation")


class Source(NamedTuple):
    """`place` is one of table.SOURCES, `name` is how logs call it."""

    place: str
    name: str
    make: Callable[[], Feed]


def sources(plan: Plan, settings: Settings, brokers: Brokers) -> list[Source]:
    """What the settings name. The code of each is imported when it is followed."""
    revocation = settings.revocation
    found = []

    def feed(module: str, *more: object) -> Callable[[], Feed]:
        def make() -> Feed:
            room = importlib.import_module(f"microgate.runtime.security.revocation.feeds.{module}")
            made: Feed = room.Feed(settings, *more)
            return made

        return make

    if revocation.realtime.enable_realtime_message_retrieval:
        found.append(Source("realtime", "broker of revocations", feed("amqp", brokers)))
    persistent = revocation.persistent
    if persistent.enable_persistent_storage_retrieval:
        if ":" in persistent.type:
            found.append(Source("persistent", f"function {persistent.type}", feed("function", plan)))
        elif persistent.type == "etcd" or persistent.use_default:
            found.append(Source("persistent", "etcd store of revocations", feed("etcd")))
        else:
            found.append(Source("persistent", "store of revocations", feed("store")))
    if revocation.redis.url:
        found.append(Source("redis", "Redis store of revocations", feed("redis")))
    if revocation.file:
        found.append(Source("file", f"file {revocation.file}", feed("file")))
    if revocation.feed.url:
        found.append(Source("feed", f"feed {revocation.feed.url}", feed("signed")))
    return found


def prove(plan: Plan, settings: Settings) -> None:
    """Raise SettingsError or KeyMaterialError for a source that cannot be followed: before anything serves."""
    for source in sources(plan, settings, Brokers()):
        source.make()


def jobs(
    plan: Plan,
    settings: Settings,
    region: Region,
    brokers: Brokers,
    counter: Counter = uncounted,
    gauge: Counter = uncounted,
) -> list[Job]:
    """One job for each source, and one for the table itself; none where nothing can be revoked."""
    if not settings.revocation.in_use:
        return []
    listed = sources(plan, settings, brokers)
    terms = Terms.of(settings)

    def job_of(source: Source) -> Job:
        async def follow(hub: Hub) -> None:
            written = WritableTable(region, settings.revocation.capacity)
            await _follow(source.make(), Book(written, source.place, source.name, terms, counter))

        return follow

    async def keep(hub: Hub) -> None:
        keeper = _Keeper(WritableTable(region, settings.revocation.capacity), settings, listed)
        await keeper.run(counter("revocations_refused"), gauge("revocations"))

    return [keep, *(job_of(source) for source in listed)]


def unready(settings: Settings, region: Region) -> Callable[[], str]:
    """The function that says what readiness waits for: with `closed`, for the sources."""
    if not settings.revocation.in_use or settings.revocation.when_unavailable != "closed":
        return lambda: ""
    cells = Table(region).cells
    return lambda: "what was revoked is not known\n" if cells[table.CLOSED] else ""


async def _follow(feed: Feed, book: Book) -> None:
    """Follow a source for ever, trying again ever more slowly while it fails, and never in step with other gateways."""
    delay = FIRST_RETRY_SECONDS
    while True:
        begun = time.monotonic()
        try:
            await feed.follow(book)
        except (FeedError, FetchError, KeyMaterialError, SettingsError) as error:
            book.down(str(error))
        except OSError as error:
            book.down((error.strerror or str(error) or type(error).__name__).lower())
        except TimeoutError:
            book.down("it gives no answer in time")
        if time.monotonic() - begun >= FIRM_SECONDS:
            delay = FIRST_RETRY_SECONDS
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        delay = min(2 * delay, LONGEST_RETRY_SECONDS)


class _Keeper:
    """Lets entries go whose time is over, and says when not enough is known to let anybody pass."""

    def __init__(self, written: WritableTable, settings: Settings, listed: list[Source]) -> None:
        self._table = written
        self._closes = settings.revocation.when_unavailable == "closed"
        self._tolerated = settings.revocation.tolerated_outage_in_millis / 1000
        self._terms = Terms.of(settings)
        self._capacity = settings.revocation.capacity
        self._refused_before = 0
        self._places = {SOURCES.index(one.place): one.name for one in listed}
        self._sweep: Iterator[None] = iter(())
        self._told_closed = False

    async def run(self, count_refused: Callable[[int], None], show: Callable[[int], None]) -> None:
        await self._forget_others()
        shown, refused = 0, self._table.cells[table.REFUSED_ENTRIES]
        while True:
            self._mind_the_door()
            self._let_go()
            entries, now_refused = len(self._table), self._table.cells[table.REFUSED_ENTRIES]
            show(entries - shown)
            count_refused(now_refused - refused)
            shown, refused = entries, now_refused
            await asyncio.sleep(LOOK_SECONDS)

    async def _forget_others(self) -> None:
        """What sources have said that the settings no longer name."""
        for source in range(len(SOURCES)):
            if source not in self._places and self._table.of_source(source, LOADED):
                self._table.set_source(source, LOADED, 0)
                self._table.set_source(source, READING, 1 - self._table.of_source(source, READING))
                for _ in self._table.release_unread(source, int(time.time()) + self._terms.leeway):
                    await asyncio.sleep(0)

    def _let_go(self) -> None:
        for _ in range(BLOCKS_PER_LOOK):
            if next(self._sweep, self) is self:
                self._sweep = self._table.sweep(int(time.time()))
                return

    def _mind_the_door(self) -> None:
        if len(self._table) < self._capacity:
            self._refused_before = self._table.cells[table.REFUSED_ENTRIES]
        overflows = self._table.cells[table.REFUSED_ENTRIES] > self._refused_before
        missed = [name for source, name in self._places.items() if self._is_missed(source)] if self._closes else []
        closed = self._closes and (overflows or bool(missed))
        if closed != bool(self._table.cells[table.CLOSED]):
            self._table.cells[table.CLOSED] = int(closed)
            self._table.turn()
        self._tell(missed if closed else [], closed=closed, overflows=overflows)

    def _tell(self, missed: list[str], *, closed: bool, overflows: bool) -> None:
        """One line for each change. A source that is still being read for the first time is no news."""
        if closed == self._told_closed:
            return
        if closed and not overflows and not any(self._table.of_source(one, DOWN_SINCE) for one in self._places):
            return
        self._told_closed = closed
        if closed:
            until = "there is room in the table" if overflows else f"the {' and the '.join(missed)} can be had"
            log.error("it is not known what was revoked: every credential is answered 503 until %s", until)
        else:
            log.info("it is known what was revoked: credentials are taken")

    def _is_missed(self, source: int) -> bool:
        written = self._table
        down_since = written.of_source(source, DOWN_SINCE)
        return not written.of_source(source, LOADED) or (down_since > 0 and time.time() - down_since >= self._tolerated)
