"""The table of revocations: against a plain model, under a reader in another process, full, and with a dead writer."""

from __future__ import annotations

import multiprocessing
import os
import random
import time

import pytest

from microgate.runtime.security.revocation import table
from microgate.runtime.security.revocation.table import FOREVER, Entry, Table, WritableTable, region_size
from microgate.runtime.shared_memory import make_region

NOW = 1_800_000_000
FILE, FEED = table.SOURCES.index("file"), table.SOURCES.index("feed")


@pytest.fixture
def written():
    return WritableTable(bytearray(region_size(1_000)), 1_000)


def _drain(steps):
    for _ in steps:
        pass


def test_what_is_added_is_found_until_its_time(written):
    key, other = os.urandom(16), os.urandom(16)
    assert written.add(Entry(key, NOW + 10), FILE, NOW)
    assert written.find(key, NOW) == 0
    assert written.find(key, NOW + 9.9) == 0
    assert written.find(key, NOW + 10) is None
    assert written.find(other, NOW) is None


def test_the_same_again_is_no_news_and_more_of_it_is(written):
    key = os.urandom(16)
    assert written.add(Entry(key, NOW + 10, NOW - 100), FILE, NOW)
    assert not written.add(Entry(key, NOW + 10, NOW - 100), FILE, NOW)
    assert not written.add(Entry(key, NOW + 10, NOW - 200), FEED, NOW)
    assert written.find(key, NOW) == NOW - 100
    assert written.add(Entry(key, NOW + 10, NOW - 50), FEED, NOW)
    assert written.add(Entry(key, FOREVER), FEED, NOW)
    assert written.find(key, NOW + 1_000_000) == 0
    assert len(written) == 1


def test_an_entry_stands_while_one_source_says_so(written):
    key = os.urandom(16)
    written.add(Entry(key, FOREVER), FILE, NOW)
    written.add(Entry(key, FOREVER), FEED, NOW)
    written.release(key, FILE, NOW + 5)
    assert written.find(key, NOW + 6) == 0
    written.release(key, FEED, NOW + 5)
    assert written.find(key, NOW + 4) == 0
    assert written.find(key, NOW + 6) is None
    assert written.add(Entry(key, NOW + 20), FILE, NOW + 6)
    assert written.find(key, NOW + 7) == 0


def test_a_whole_reading_releases_what_it_does_not_name(written):
    stays, goes, others = os.urandom(16), os.urandom(16), os.urandom(16)
    for key in (stays, goes):
        written.add(Entry(key, FOREVER), FILE, NOW)
    written.add(Entry(others, FOREVER), FEED, NOW)
    written.set_source(FILE, table.READING, 1 - written.of_source(FILE, table.READING))
    written.add(Entry(stays, FOREVER), FILE, NOW)
    _drain(written.release_unread(FILE, NOW + 5))
    assert [written.find(key, NOW + 6) for key in (stays, goes, others)] == [0, None, 0]


def test_a_full_table_counts_what_finds_no_room(written):
    for _ in range(1_003):
        written.add(Entry(os.urandom(16), NOW + 10), FILE, NOW)
    assert len(written) == 1_000
    assert written.cells[table.REFUSED_ENTRIES] == 3
    # What moves from the first rows into a gap at the end was passed by already: the next sweep meets it.
    _drain(written.sweep(NOW + 10))
    _drain(written.sweep(NOW + 10))
    assert len(written) == 0
    assert written.add(Entry(os.urandom(16), NOW + 20), FILE, NOW)


@pytest.mark.parametrize("seed", range(5))
def test_it_behaves_as_a_dictionary_does(seed):
    chance = random.Random(seed)
    written = WritableTable(bytearray(region_size(1_000)), 1_000)
    model: dict[bytes, int] = {}
    now = NOW
    # Few places for many keys, so that searches are long and rows move.
    keys = [chance.randbytes(8) + chance.choice([b"\0", b"\1", b"\xff"]) + b"\3" + bytes(6) for _ in range(400)]
    for _ in range(3_000):
        key = chance.choice(keys)
        if chance.random() < 0.6:
            model[key] = max(model.get(key, 0), now + chance.randrange(1, 30))
            written.add(Entry(key, model[key]), FILE, now)
        elif chance.random() < 0.1:
            now += 1
            _drain(written.sweep(now))
            model = {one: until for one, until in model.items() if until > now}
        assert (written.find(key, now) == 0) == (model.get(key, 0) > now)
    _drain(written.sweep(now))
    assert len(written) == len(model)
    assert all((written.find(key, now) == 0) == (key in model) for key in keys)


def test_a_writer_that_died_while_it_moved_a_row_holds_nobody_up(written):
    key = os.urandom(16)
    written.add(Entry(key, FOREVER), FILE, NOW)
    written.cells[table._MOVING] += 1
    assert written.find(key, NOW) == 0
    assert written.find(os.urandom(16), NOW) is None
    again = WritableTable(written.cells.obj, 1_000)
    assert again.cells[table._MOVING] % 2 == 0


def _read(region, keys, line):
    """Look for keys that always stand, until told to stop; the number of looks that missed one."""
    reader, missed, looks = Table(region), 0, 0
    while not line.poll():
        for key in keys:
            looks += 1
            missed += reader.find(key, NOW) is None
    line.send((looks, missed))


def test_a_reader_in_another_process_misses_nothing_while_rows_move():
    region = make_region("test", region_size(1_000))
    written = WritableTable(region, 1_000)
    chance = random.Random(1)
    lows = [bytes([place]) + b"\0" * 7 for place in range(4)]
    keys = [chance.randbytes(8) + low for low in lows for _ in range(10)]
    near, far = multiprocessing.get_context("fork").Pipe()
    reader = multiprocessing.get_context("fork").Process(target=_read, args=(region, keys, far))
    fleeting = [chance.randbytes(8) + low for low in lows for _ in range(10)]
    for one, two in zip(fleeting, keys, strict=True):
        written.add(Entry(one, NOW + 10), FILE, NOW)
        written.add(Entry(two, FOREVER), FILE, NOW)
    reader.start()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        _drain(written.sweep(NOW + 10))
        for one in fleeting:
            written.add(Entry(one, NOW + 10), FILE, NOW)
    near.send("stop")
    looks, missed = near.recv()
    reader.join()
    assert looks > 1_000
    assert missed == 0
