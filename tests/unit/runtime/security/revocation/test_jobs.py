"""The steward's work for revocations: when the gateway closes and opens, and what becomes of sources that are named no more."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import msgspec
import pytest

from harness.aio import run, until
from microgate.plan.model import Plan
from microgate.runtime.exchange import Consumer
from microgate.runtime.messaging.brokers import Brokers
from microgate.runtime.security.counting import uncounted
from microgate.runtime.security.revocation import jobs, memory, stage, table
from microgate.runtime.security.revocation.book import Book
from microgate.runtime.security.revocation.entries import Terms
from microgate.runtime.security.revocation.feeds import FeedError, amqp, file
from microgate.runtime.security.revocation.table import SOURCES, WritableTable
from microgate.settings.backend import Server
from microgate.settings.model import Settings
from microgate.settings.revocation import PersistentRevocation, RealtimeRevocation, Revocation

PLAN = Plan(project="", engine="", apis=(), upstreams=())


def _settings(**options):
    options = {"file": "/nowhere/revoked.txt", "capacity": 1_000, **options}
    return msgspec.structs.replace(Settings(), revocation=Revocation(**options), server=Server(timestamp_skew=0))


class Office:
    """The jobs over a region of their own, and a worker's view of it."""

    def __init__(self, settings):
        self.settings = settings
        self.region = memory.make_memory(settings)
        self.written = WritableTable(self.region, settings.revocation.capacity)
        self.revocations = stage.Revocations(self.region)
        self.counts = {}

    def book(self, place="file"):
        return Book(self.written, place, f"{place} of the test", Terms.of(self.settings), self.counter)

    def counter(self, name):
        uncounted(name)
        self.counts.setdefault(name, 0)

        def add(count):
            self.counts[name] += count

        return add

    def stands(self, name="ann", token_id="none"):
        consumer = Consumer(name, "jwt")
        consumer.claims = {"jti": token_id}
        stage.mark(consumer, b"")
        return self.revocations.stands(consumer)

    @contextlib.asynccontextmanager
    async def open(self):
        keep, *_ = jobs.jobs(PLAN, self.settings, self.region, Brokers(), self.counter, self.counter)
        task = asyncio.ensure_future(keep(None))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])


def test_closed_opens_once_all_sources_are_loaded_and_closes_when_one_is_away_too_long():
    async def main():
        office = Office(_settings(when_unavailable="closed", tolerated_outage_in_millis=1_000))
        waits = jobs.unready(office.settings, office.region)
        assert office.stands() is None
        assert waits() == "what was revoked is not known\n"
        async with office.open():
            book = office.book()
            assert office.stands() is None
            await book.replace(["one"])
            await until(office.stands, "it opens")
            assert waits() == ""
            assert office.stands(token_id="one") is False
            book.down("test")
            assert office.stands() is True
            await until(lambda: office.stands() is None, "it closes")
            book.down("another reason")
            await book.replace(["one", "two"])
            await until(office.stands, "it opens again")
            assert office.stands(token_id="two") is False

    run(main())


def test_closed_closes_when_the_table_is_full_and_open_does_not():
    async def main(when_unavailable, expected):
        office = Office(_settings(when_unavailable=when_unavailable))
        async with office.open():
            await office.book().replace([f"{number}" for number in range(1_000)])
            await until(office.stands, "it is open")
            await office.book().add(["more"])
            await until(lambda: office.counts["revocations_refused"] == 1, "it is counted")
            await until(lambda: office.stands() is expected, "it is what it should be")

    run(main("closed", None))
    run(main("open", True))


def test_what_a_source_said_that_is_named_no_more_is_let_go():
    async def main():
        office = Office(_settings())
        await office.book("redis").replace(["from-redis"])
        await office.book("file").replace(["from-file"])
        assert office.stands(token_id="from-redis") is False
        async with office.open():
            await until(lambda: office.stands(token_id="from-redis"), "it is let go")
            assert office.stands(token_id="from-file") is False
            assert office.written.of_source(SOURCES.index("redis"), table.LOADED) == 0

    run(main())


def test_an_entry_that_comes_while_all_are_read_belongs_to_the_reading():
    async def main():
        office = Office(_settings())
        book = office.book()
        await book.replace(["old"])
        book.begin()
        await book.add(["meanwhile"])
        book.begin()  # a reading that failed begins anew
        await book.replace(["listed"])
        async with office.open():
            await until(lambda: office.stands(token_id="old"), "the old one is let go")
            assert office.stands(token_id="meanwhile") is False
            assert office.stands(token_id="listed") is False

    run(main())


def test_the_epoch_turns_for_news_alone():
    async def main():
        office = Office(_settings())
        book = office.book()
        await book.add(["one", {"jti": "x", "expires": 1_000_000_001}, {"nothing": 1}])
        turned = office.written.cells[table.EPOCH]
        await book.add(["one"])
        assert office.written.cells[table.EPOCH] == turned == 1
        assert office.counts == {"revocations_added": 1, "revocations_misread": 1}

    run(main())


def test_a_source_that_fails_is_tried_again_ever_more_slowly(monkeypatch):
    async def main():
        office = Office(_settings())
        loop = asyncio.get_running_loop()
        begun = []

        class Failing:
            async def follow(self, book):
                begun.append(loop.time())
                raise (FeedError("test"), OSError(2, "No such file"), TimeoutError(), OSError())[len(begun) % 4]

        task = asyncio.ensure_future(jobs._follow(Failing(), office.book()))
        await until(lambda: len(begun) == 4, "it is tried four times")
        task.cancel()
        await asyncio.wait([task])
        gaps = [after - before for before, after in itertools.pairwise(begun)]
        for gap, delay in zip(gaps, (0.2, 0.4, 0.8), strict=True):
            assert delay / 2 <= gap < delay + 0.5

    run(main())


def test_what_is_in_use_is_listed():
    settings = _settings(
        realtime=RealtimeRevocation(enable_realtime_message_retrieval=True),
        persistent=PersistentRevocation(enable_persistent_storage_retrieval=True, use_default=True),
    )
    assert [source.name for source in jobs.sources(PLAN, settings, Brokers())] == [
        "broker of revocations",
        "etcd store of revocations",
        "file /nowhere/revoked.txt",
    ]
    assert jobs.jobs(PLAN, Settings(), bytearray(), Brokers()) == []
    assert jobs.unready(Settings(), bytearray())() == ""


TORN = [b'{"token":"\xff"}', b'["\xff"]', b'"\xff"', b'{"\xff":1}', b'{"token":' + b"[" * 100_000]


@pytest.mark.parametrize("line", TORN)
def test_an_entry_that_is_no_text_keeps_no_other_from_being_read(line, tmp_path):
    source = tmp_path / "revoked.txt"
    source.write_bytes(line + b'\n{"consumer":"other"}\n{"subject":"ann"}\n')
    settings = _settings(file=str(source))
    office = Office(settings)

    async def follow():
        following = asyncio.ensure_future(file.Feed(settings).follow(office.book()))
        try:
            await until(lambda: office.stands() is False)
        finally:
            following.cancel()

    run(follow())


@pytest.mark.parametrize("body", TORN)
def test_a_message_that_is_no_text_is_one_that_nobody_understands(body):
    assert amqp.read_message(body, {}) in ([None], [body.decode(errors="replace")])
