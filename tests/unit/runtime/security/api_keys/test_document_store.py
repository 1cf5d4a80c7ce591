"""API keys in a JSON document: what a crash, another writer and a hand that edits can do to it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from microgate.cli import main
from microgate.errors import KeyMaterialError
from microgate.runtime.security.api_keys.key_book import KeyBook
from microgate.runtime.security.api_keys.key_records import Record, digest_of

RECORD = Record(id="k1", consumer="billing", created=1, scopes=("read",), apis=(("Shop", "1"),))


@pytest.fixture
def book(tmp_path):
    return KeyBook(tmp_path / "keys.json")


def test_a_key_is_a_line_of_the_document_and_not_in_it(book):
    key = book.create(RECORD)
    text = book.path.read_text()
    assert key not in text
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    document = json.loads(text)
    assert document["keys"][0]["digest"] == digest_of(key.encode()).hex()
    assert text.splitlines()[1].startswith('{"id":"k1"')
    assert book.changes(0)[1][0][0] == digest_of(key.encode())


def test_what_sqlite_does_the_document_does(book, tmp_path):
    for one in (book, KeyBook(tmp_path / "keys.db")):
        one.create(RECORD)
        key, fresh = one.rotate("k1", "k2", 3600)
        assert (fresh.scopes, fresh.apis) == (RECORD.scopes, RECORD.apis)
        assert key.startswith("mgk_")
        one.revoke("k2")
        assert [(record.id, record.state(time.time())) for record in one.records()] == [
            ("k1", "active"),
            ("k2", "revoked"),
        ]
        with pytest.raises(KeyMaterialError, match="is revoked"):
            one.rotate("k2", "k3", 0)
        with pytest.raises(KeyMaterialError, match="has no key `k9`"):
            one.revoke("k9")
        assert len(one.changes(0)[1]) == 2


def test_permissions_and_links_stay(book, tmp_path):
    book.create(RECORD)
    book.path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(book.path)
    KeyBook(link).revoke("k1")
    assert link.is_symlink()
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o640
    assert book.records()[0].revoked


def test_what_root_writes_still_belongs_to_the_gateway(book):
    book.create(RECORD)
    user, group = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())  # root alone gives files away
    os.chown(book.path.parent, user, group)
    os.chown(book.path, user, group)
    book.revoke("k1")
    lock = book.path.with_name(".keys.json.lock")
    assert {(one.stat().st_uid, one.stat().st_gid) for one in (book.path, lock)} == {(user, group)}


GOOD = '{"microgateKeys": 1, "keys": [%s]}'
LINE = '{"id": "k1", "consumer": "a", "created": 1, "digest": "%s"}' % ("0" * 64)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 5_000,
        b"\xff\xfe\xfd",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"microgateKeys": 2, "keys": []}',
        (GOOD % LINE)[:-5].encode(),
        (GOOD % LINE.replace('"created": 1', '"created": "1"')).encode(),
        (GOOD % LINE.replace('"created": 1', '"created": 1, "api": [["Shop", "1"]]')).encode(),
        (GOOD % LINE.replace("00", "0")).encode(),
        (GOOD % LINE.replace("00", "0G")).encode(),
        (GOOD % f"{LINE}, {LINE}").encode(),
        (GOOD % f"{LINE}, {LINE.replace('k1', 'k2')}").encode(),
        (GOOD % "null").encode(),
    ],
)
def test_what_is_not_entirely_a_store_is_none_and_stays_as_it_is(book, content):
    book.path.write_bytes(content)
    for attempt in (book.records, lambda: book.revoke("k1"), lambda: book.changes(0)):
        with pytest.raises(KeyMaterialError, match="is no whole store of API keys"):
            attempt()
    if content:
        with pytest.raises(KeyMaterialError, match="is no whole store of API keys"):
            book.create(RECORD)
    assert book.path.read_bytes() == content


def test_a_store_that_everybody_may_write_is_refused(book):
    book.create(RECORD)
    book.path.chmod(0o602)
    with pytest.raises(KeyMaterialError, match="may be written by everybody"):
        book.prove_permissions()


def test_a_folder_or_a_place_that_is_none_is_one_line(tmp_path):
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "folder.json", tmp_path / "none" / "keys.json"):
        with pytest.raises(KeyMaterialError) as failed:
            KeyBook(path).create(RECORD)
        assert "\n" not in str(failed.value)


def _create_many(path, number):
    for count in range(20):
        KeyBook(path).create(Record(id=f"k{number}-{count}", consumer="a", created=1))


def test_writers_wait_for_each_other(book):
    spawning = multiprocessing.get_context("spawn")
    writers = [spawning.Process(target=_create_many, args=(book.path, number)) for number in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(30)
        assert one.exitcode == 0
    assert len(book.records()) == 60


WRITER = """
import sys
from pathlib import Path
from microgate.runtime.security.api_keys.key_book import KeyBook
from microgate.runtime.security.api_keys.key_records import Record
book = KeyBook(Path(sys.argv[1]))
for count in range(1_000_000):
    book.create(Record(id=f"k{count}", consumer="a" * 200, created=1))
    print(count, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_store_and_no_lock(book):
    for _ in range(3):
        book.path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(book.path)], stdout=subprocess.PIPE, text=True)
        seen = 0
        while seen < 100:
            seen = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert len(book.records()) >= seen + 1
        book.create(Record("last", "a", 2))
        assert book.records()[-1].id == "last"


def test_a_link_that_leads_to_itself_is_no_store(tmp_path):
    link = tmp_path / "keys.json"
    link.symlink_to(link)
    with pytest.raises(KeyMaterialError, match="cannot be written"):
        KeyBook(link).create(RECORD)


@pytest.mark.parametrize("expires", [10**17, 10**18, 10**24])
def test_a_moment_that_no_calendar_has_is_listed_as_it_stands(book, capsys, expires):
    book.create(replace(RECORD, expires=expires))
    assert main.main(["key", "list", "--store", str(book.path)]) == 0
    assert str(expires) in capsys.readouterr().out
