"""Users in htpasswd files, SQLite databases and Python of the project, each on its own and in the order of the settings."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing

import msgspec
import pytest

from microgate.errors import KeyMaterialError, SettingsError
from microgate.plan.model import Module, Plan
from microgate.runtime.extensions import Extensions
from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.hash_bench import HashBench
from microgate.runtime.security.passwords.user_stores import htpasswd, making
from microgate.runtime.security.passwords.user_stores.htpasswd import HtpasswdFile
from microgate.runtime.security.passwords.user_stores.provider import Provider
from microgate.runtime.security.passwords.user_stores.sqlite import SqliteDatabase
from microgate.runtime.security.passwords.user_stores.store import Attempt, Found, Refused, StoreDownError
from microgate.settings.model import Settings
from microgate.settings.user_stores import UserStore

UNKNOWN, WRONG = Refused.UNKNOWN, Refused.WRONG
SHA1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"  # of "password"


def ask(store, user, password="password"):
    return asyncio.run(store.check(Attempt(user, password.encode(), "192.0.2.1", lambda: None)))


# htpasswd


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "users"
    path.write_text(
        "# comment\n\n"
        "sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
        f"bcrypt:{passwords.make_stored('bcrypt', b'password').replace('$2b$12', '$2y$12')}\n"
        "apr1:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n"
        "old:rqXexS6ZhobKA\n"
        "clear:password\n"
        "no colon\n"
        "more:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=:field\r\n"
    )
    return path


def test_an_htpasswd_file_is_read(file, caplog):
    with caplog.at_level(logging.WARNING, "microgate.security"):
        store = HtpasswdFile(UserStore(type="htpasswd", file=str(file), scopes="a,b"), HashBench(1))
    assert ask(store, "sha") == Found("sha", frozenset({"a", "b"}))
    assert ask(store, "more") == Found("more", frozenset({"a", "b"}))
    assert ask(store, "bcrypt") == Found("bcrypt", frozenset({"a", "b"}))
    assert ask(store, "bcrypt", "Password") is WRONG
    assert ask(store, "apr1", "myPassword").name == "apr1"
    for user in ("old", "clear", "no colon", "eve", "# comment", ""):
        assert ask(store, user) is UNKNOWN
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{file}:6: the user `old` cannot log in: ")
    assert record.getMessage().endswith("; wrong too: 7, 8")
    assert "rqXexS6ZhobKA" not in caplog.text


def test_a_file_that_is_something_else_is_one_line_with_nothing_of_it(tmp_path, caplog):
    key = tmp_path / "tls.key"
    key.write_text("-----BEGIN PRIVATE KEY-----\n" + "c2VjcmV0\n" * 30)
    with caplog.at_level(logging.WARNING, "microgate.security"):
        HtpasswdFile(UserStore(type="htpasswd", file=str(key)), HashBench(1))
    (record,) = caplog.records
    assert f"{key}:1: it is no `user:hash`; wrong too: 2, 3, " in record.getMessage()
    assert record.getMessage().endswith(" and 20 more")
    assert "c2VjcmV0" not in caplog.text


def test_a_changed_htpasswd_file_counts_at_once(file, monkeypatch):
    monkeypatch.setattr(htpasswd, "LOOK_EVERY_SECONDS", 0.0)
    store = HtpasswdFile(UserStore(type="htpasswd", file=str(file)), HashBench(1))
    assert not store.changed()
    file.write_text(f"new:{SHA1}\n")
    assert store.changed()
    assert (ask(store, "new").name, ask(store, "sha")) == ("new", UNKNOWN)
    file.unlink()
    assert not store.changed()
    assert ask(store, "new").name == "new"
    file.write_text(f"newer:{SHA1}\n")
    assert store.changed()
    assert ask(store, "newer").name == "newer"


def test_an_htpasswd_file_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(KeyMaterialError, match="cannot be read"):
        HtpasswdFile(UserStore(type="htpasswd", file=str(tmp_path / "none")), HashBench(1))


# SQLite


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "a b?#.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users (name TEXT, password TEXT, scopes TEXT)")
        rows = [("ann", SHA1, "read,write"), ("bob", SHA1, None), ("broken", "x", "")]
        rows.append(("slow", passwords.make_stored("argon2id", b"password"), ""))
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    return path


def _sqlite(path, **settings):
    return SqliteDatabase(UserStore(type="sqlite", file=str(path), **settings), HashBench(1))


def test_a_database_is_asked(database):
    store = _sqlite(database, scopes="all")
    assert ask(store, "ann") == Found("ann", frozenset({"read", "write", "all"}))
    assert ask(store, "bob") == Found("bob", frozenset({"all"}))
    assert ask(store, "slow").name == "slow"
    assert ask(store, "ann", "wrong") is WRONG
    for user in ("eve", "ann' OR '1'='1", "ann'--", "%", "a_n", "'; DROP TABLE users; --"):
        assert ask(store, user) is UNKNOWN
    assert ask(store, "ann").name == "ann"


def test_a_stored_password_that_is_none_is_a_store_that_is_down(database):
    with pytest.raises(StoreDownError, match="stored password that is none"):
        ask(_sqlite(database), "broken")


def test_a_changed_database_counts_at_once(database):
    store = _sqlite(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM users WHERE name = 'ann'")
    assert ask(store, "ann") is UNKNOWN


def test_the_database_is_never_written(database):
    with pytest.raises(KeyMaterialError, match="readonly"):
        _sqlite(database, query="DELETE FROM users WHERE name = :user RETURNING password")


@pytest.mark.parametrize(
    "query", ["SELECT", "SELECT x FROM users", "SELECT password FROM users WHERE name = :name", "SELECT 1; SELECT 2"]
)
def test_a_query_that_cannot_be_run_stops_the_start(database, query):
    with pytest.raises(KeyMaterialError, match="cannot be asked"):
        _sqlite(database, query=query)


def test_a_database_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(KeyMaterialError, match="cannot be asked"):
        _sqlite(tmp_path / "none.db")


def test_a_query_without_end_is_given_up_in_time(database):
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n WHERE x > length(:user)"
    )
    with pytest.raises(KeyMaterialError, match="interrupted"):
        _sqlite(database, query=endless, timeout=50)


# Python


def _provider(source, name="check", **settings):
    extensions = Extensions(
        Plan(project="", engine="", apis=(), upstreams=(), extensions=(Module("accounts", source),))
    )
    return Provider(UserStore(type="python", provider=f"accounts:{name}", **settings), extensions)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("None", UNKNOWN),
        ("False", WRONG),
        ("True", Found("ann", frozenset({"all"}))),
        ("['a', 'b', 1]", Found("ann", frozenset({"a", "b", "all"}))),
        ("'a b'", Found("ann", frozenset({"a", "b", "all"}))),
        ("()", Found("ann", frozenset({"all"}))),
        ("{'name': 'Ann', 'scopes': ['a']}", Found("Ann", frozenset({"a", "all"}))),
        ("{}", Found("ann", frozenset({"all"}))),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_a_function_says(said, answer, kind):
    store = _provider(
        f"{kind} check(user, password):\n    assert password == 'password'\n    return {said}\n", scopes="all"
    )
    assert ask(store, "ann") == answer


def test_a_class_is_made_once():
    source = (
        "class Users:\n    n = 0\n"
        "    def authenticate(self, user, password):\n        self.n += 1\n        return [str(self.n)]\n"
    )
    store = _provider(source, "Users")
    assert [ask(store, "ann").scopes for _ in range(2)] == [{"1"}, {"2"}]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("raise ValueError(password)", "failed with ValueError at extensions/accounts.py:2"),
        ("raise SystemExit", "failed with SystemExit at extensions/accounts.py:2"),
        ("return 1", "gave neither"),
        ("return {'name': 1}", "gave neither"),
        ("return {'scopes': 1}", "gave neither"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_that_fails_is_a_store_that_is_down(body, what, kind):
    with pytest.raises(StoreDownError) as caught:
        ask(_provider(f"{kind} check(user, password):\n    {body}\n"), "ann")
    assert what in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ndef check(user, password):\n    time.sleep(0.5)\n",
        "import asyncio\nasync def check(user, password):\n    await asyncio.sleep(5)\n",
    ],
)
def test_a_function_that_takes_long_is_given_up_in_time(source):
    with pytest.raises(StoreDownError, match="no answer within"):
        ask(_provider(source, timeout=30), "ann")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("x = 1\n", "check"),
        ("class Users:\n    pass\n", "Users"),
        ("class Users:\n    def __init__(self):\n        1 / 0\n", "Users"),
        ("1 / 0\n", "check"),
    ],
)
def test_python_that_cannot_be_used_stops_the_start(source, name):
    with pytest.raises(SettingsError):
        _provider(source, name)


# Together


def test_stores_are_made_in_their_order(file, database):
    stores = (
        UserStore(type="htpasswd", file=str(file), name="first"),
        UserStore(type="sqlite", file=str(database)),
        UserStore(type="ldap", url="ldaps://localhost", user_dn="uid={user}"),
    )
    settings = msgspec.structs.replace(Settings(), user_stores=stores)
    making.prove(settings)
    made = making.make(settings, Extensions(Plan(project="", engine="", apis=(), upstreams=())), HashBench(1))
    assert [store.name for store in made] == ["first", "sqlite", "ldap"]
