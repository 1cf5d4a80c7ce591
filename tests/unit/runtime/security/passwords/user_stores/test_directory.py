"""Users in a real LDAP directory: who is let in, with which scopes, over which TLS, and what no name can do to a question."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
import pytest

from harness.credentials import ServerIdentity
from harness.services import ldap
from microgate.errors import KeyMaterialError, SettingsError
from microgate.runtime.security.passwords.user_stores.directory import Directory
from microgate.runtime.security.passwords.user_stores.store import Attempt, Found, Refused, StoreDownError
from microgate.settings.user_stores import UserStore

SILENCE = b""
UNKNOWN, WRONG = Refused.UNKNOWN, Refused.WRONG


@pytest.fixture(scope="module")
def directory(tmp_path_factory, identity):
    with ldap.Directory(tmp_path_factory.mktemp("ldap"), identity) as running:
        yield running


@pytest.fixture
def searching(directory, identity):
    """Settings of a store that searches and binds, over TLS; keywords change them."""

    def settings(**changes):
        return UserStore(
            **{
                "type": "ldap",
                "url": directory.tls_url,
                "ca_file": str(identity.certificate_file),
                "bind_dn": ldap.READER,
                "bind_password": ldap.READER_PASSWORD,
                "search_base": ldap.BASE,
                "group_base": ldap.GROUPS,
                **changes,
            }
        )

    return settings


def ask(settings, *pairs):
    """What a store answers to one user and password after another."""

    async def run():
        store = Directory(settings)
        try:
            return [
                await store.check(Attempt(user, password.encode(), "192.0.2.1", lambda: None))
                for user, password in pairs
            ]
        finally:
            store.close()

    return asyncio.run(run())


def failure(settings, user="ann", password="annspass"):
    with pytest.raises(StoreDownError) as caught:
        ask(settings, (user, password))
    assert password not in str(caught.value)
    return str(caught.value)


def test_users_are_searched_and_proved(searching):
    assert ask(
        searching(),
        ("ann", "annspass"),
        ("ann", "wrong"),
        ("bob", "bobs:pass"),
        ("eve", "annspass"),
        ("ann", "annspass"),
    ) == [
        Found("ann", frozenset({"readers", "writers"})),
        WRONG,
        Found("bob", frozenset({"readers"})),
        UNKNOWN,
        Found("ann", frozenset({"readers", "writers"})),
    ]


def test_users_are_bound_at_once(searching):
    settings = searching(search_base="", user_dn=f"uid={{user}},{ldap.PEOPLE}", scope_attribute="description")
    assert ask(settings, ("ann", "annspass"), ("ann", "wrong"), ("eve", "x")) == [
        Found("ann", frozenset({"readers", "writers", "profile", "email"})),
        UNKNOWN,
        UNKNOWN,
    ]


def test_groups_become_the_scopes_of_the_settings(searching):
    settings = searching(group_scopes={"writers": "write:pets, read:pets", "others": "x"}, scopes="all")
    assert ask(settings, ("ann", "annspass"), ("bob", "bobs:pass")) == [
        Found("ann", frozenset({"write:pets", "read:pets", "all"})),
        Found("bob", frozenset({"all"})),
    ]


def test_attributes_of_the_user_become_scopes(searching):
    settings = searching(group_base="", scope_attribute="Description")
    assert ask(settings, ("ann", "annspass"), ("bob", "bobs:pass")) == [
        Found("ann", frozenset({"profile", "email"})),
        Found("bob", frozenset()),
    ]


def test_start_tls_protects_the_plain_port(searching, directory):
    assert isinstance(ask(searching(url=directory.url, start_tls=True), ("ann", "annspass"))[0], Found)


@pytest.mark.parametrize("start_tls", [False, True])
def test_an_untrusted_certificate_is_refused(searching, directory, tmp_path, start_tls):
    other = ServerIdentity(tmp_path)
    url = directory.url if start_tls else directory.tls_url
    assert "self" in failure(searching(url=url, start_tls=start_tls, ca_file=str(other.certificate_file)))


def test_a_certificate_for_another_name_is_refused(searching, tmp_path):
    elsewhere = ServerIdentity(tmp_path, "elsewhere")
    with ldap.Directory(tmp_path / "other", elsewhere) as other:
        settings = searching(url=other.tls_url, ca_file=str(elsewhere.certificate_file))
        assert "localhost" in failure(settings)


@pytest.mark.parametrize(
    "user",
    [
        "*",
        "a*",
        "ann)(uid=*",
        "*)(objectClass=*",
        "ann)(|(uid=*",
        "\\61nn",
        "ann\\00",
        "ann,ou=people",
        "ann,dc=example,dc=com",
        "ann+cn=Ann",
        '"ann"',
        "#616e6e",
        "{user}",
        "{dn}",
        "ann)",
        "(ann",
        "&",
        "ä" * 100,
        "x" * 900,
    ],
)
def test_no_name_changes_the_question(searching, user):
    direct = searching(search_base="", user_dn=f"uid={{user}},{ldap.PEOPLE}")
    for settings in (searching(), direct):
        for password in ("annspass", "bobs:pass"):
            assert ask(settings, (user, password)) == [UNKNOWN]


def test_a_name_with_every_special_character_is_found_all_the_same(searching):
    found = Found("o,dd (x)*", frozenset({"writers"}))
    direct = searching(search_base="", user_dn=f"uid={{user}},{ldap.PEOPLE}")
    assert ask(searching(), ("o,dd (x)*", "oddpass"), ("o,dd (x)*", "wrong")) == [found, WRONG]
    # Its groups are found by the name as the directory writes it.
    assert ask(direct, ("o,dd (x)*", "oddpass"))[0] == found


def test_two_entries_for_one_name_let_nobody_in(searching):
    assert ask(searching(), ("twin", "twinpass")) == [UNKNOWN]
    assert ask(searching(search_base=ldap.PEOPLE), ("twin", "twinpass")) == [Found("twin", frozenset())]


def test_a_filter_may_be_as_complex_as_it_likes(searching):
    condition = "(&(|(uid={user})(mail={user}))(objectClass=inetOrgPerson)(!(cn=Bob))(sn=*)(cn=A*n))"
    assert ask(searching(search_filter=condition), ("ann", "annspass"), ("bob", "bobs:pass"))[1] is UNKNOWN


def test_who_searches_must_be_let_in(searching):
    assert failure(searching(bind_password="wrong")) == f"does not let `{ldap.READER}` in, with result 49"


def test_a_server_that_is_not_there_is_down(searching):
    assert "cannot be asked" in failure(searching(url="ldap://127.0.0.1:1"))


def test_a_server_that_comes_back_is_asked_again(tmp_path, identity, searching):
    with ldap.Directory(tmp_path / "own", identity) as own:

        async def run():
            store = Directory(searching(url=own.url))
            attempt = Attempt("ann", b"annspass", "192.0.2.1", lambda: None)
            assert isinstance(await store.check(attempt), Found)
            await asyncio.to_thread(own.stop)
            with pytest.raises(StoreDownError):
                await store.check(attempt)
            await asyncio.to_thread(own.start)
            store._down_until = 0.0
            assert isinstance(await store.check(attempt), Found)
            store.close()

        asyncio.run(run())


def test_connections_are_kept_and_bounded(searching):
    async def run():
        store = Directory(searching(connections=2))
        made = []
        opened = store._open

        async def count():
            made.append(1)
            return await opened()

        store._open = count
        attempts = [Attempt("ann", b"annspass", f"192.0.2.{n}", lambda: None) for n in range(40)]
        answers = await asyncio.gather(*(store.check(attempt) for attempt in attempts))
        assert all(isinstance(answer, Found) for answer in answers)
        store.close()
        return len(made)

    assert asyncio.run(run()) <= 4  # two that search and two that prove


def against(sent, settings):
    """What goes wrong with a server that reads once, sends this, and closes."""

    async def run():
        handlers = []

        async def talk(reader, writer):
            handlers.append(asyncio.current_task())
            await reader.read(100)
            writer.write(sent)
            if sent is SILENCE:
                await reader.read()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        url = f"ldap://localhost:{server.sockets[0].getsockname()[1]}"
        store = Directory(msgspec.structs.replace(settings, url=url))
        with pytest.raises(StoreDownError) as caught:
            await store.check(Attempt("ann", b"x", "192.0.2.1", lambda: None))
        store.close()
        server.close()
        await asyncio.gather(*handlers)
        return str(caught.value)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        (b"\x30\x80", "indefinite"),
        (b"\x30\x84\x7f\xff\xff\xff", "too large"),
        (b"\x30\x05\x02\x01\x01\x61\x7f", "longer than what holds it"),
        (b"\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00", "ends the connection"),
        (b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00", "something else"),
        (b"\x30\x05\x02\x01\x01\x61\x00", "cut short"),
        (b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x34\x04\x00\x04\x00", "does not let"),
    ],
)
def test_a_server_that_talks_nonsense_is_down(sent, what):
    settings = UserStore(type="ldap", bind_dn="cn=a", bind_password="b", search_base="dc=c", timeout=2000)
    assert what in against(sent, settings)


def test_a_silent_server_is_given_up_in_time():
    settings = UserStore(type="ldap", user_dn="uid={user}", timeout=100)
    assert against(SILENCE, settings) == "gave no answer within 0.1 s"


def test_what_comes_before_tls_is_not_read(identity):
    good_bind = b"\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
    sent = b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00" + good_bind
    settings = UserStore(type="ldap", user_dn="uid={user}", start_tls=True, ca_file=str(identity.certificate_file))
    assert "before TLS" in against(sent, settings)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uid={user}",
        "(uid={user}",
        "(uid={user}))",
        "(&)",
        "(!(a=b)(c=d))",
        "(=x)",
        "(uid={other})",
        "(a=\\zz)",
        "(a=**)",
    ],
)
def test_what_is_no_filter_stops_the_start(searching, text):
    with pytest.raises(SettingsError, match="is no filter"):
        Directory(searching(search_filter=text))


def test_authorities_that_cannot_be_read_stop_the_start(searching):
    with pytest.raises(KeyMaterialError):
        Directory(searching(ca_file="/nowhere/ca.pem"))


@pytest.mark.parametrize(
    "changes", [{}, {"search_base": "", "group_base": "", "user_dn": f"uid={{user}},{ldap.PEOPLE}"}]
)
def test_a_user_has_one_name_however_it_is_written(searching, changes):
    """By which limits count her and blocks shut her out."""
    written = ["ann", "ANN", "Ann", " ann", "ann  ", "\uff41nn", "a\u00adnn", "\u200bann"]
    found = ask(searching(**changes), *((name, "annspass") for name in written))
    assert {answer.name for answer in found[:3]} == {"ann"}
    assert {answer.name for answer in found if isinstance(answer, Found)} == {"ann"}
