"""User name and password: what is accepted, what each mistake is answered with, and what is remembered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.minting import Clock
from microgate.runtime.security.context import SecurityContext
from microgate.runtime.security.passwords import scheme as basic
from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.scheme import Basic
from microgate.runtime.security.passwords.turns import BusyError
from microgate.runtime.security.passwords.user_stores.store import Found, Refused, StoreDownError, UserStore
from microgate.runtime.security.refusals import TokenError
from microgate.settings.model import B7a, Settings
from microgate.settings.security import User
from microgate.settings.stored_passwords import read_stored
from microgate.settings.user_stores import BasicAuth

if TYPE_CHECKING:
    from microgate.runtime.exchange import Consumer

SHA1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"  # of "password"
SHA256 = "@sha256:{5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8}"


def credential(user: str, password: str) -> bytes:
    return base64.b64encode(f"{user}:{password}".encode())


class World:
    """A judge over some users, with a clock that stands still."""

    def __init__(self, users: dict[str, str], *, scopes: str = "", rules: BasicAuth | None = None) -> None:
        self.clock = Clock()
        listed = {name: User(password=stored, scopes=scopes) for name, stored in users.items()}
        settings = msgspec.structs.replace(Settings(), b7a=B7a(users=listed), basic_auth=rules or BasicAuth())
        self.judge = Basic(SecurityContext(settings, None, clock=self.clock))

    async def ask(self, text: bytes, address: str = "192.0.2.1") -> Consumer | str:
        """Who calls, or the reason of the refusal."""
        exchange = SimpleNamespace(client=address)
        try:
            judged = self.judge.judge(exchange, b"Basic " + text, text)
            return await judged if inspect.isawaitable(judged) else judged
        except TokenError as error:
            return str(error.reason)

    def says(self, text: bytes, address: str = "192.0.2.1") -> str:
        answer = asyncio.run(self.ask(text, address))
        return answer if isinstance(answer, str) else answer.name


@pytest.mark.parametrize(
    "stored",
    [
        SHA1,
        SHA1.upper(),
        SHA256,
        "@sha384:{a8b64babd0aca91a59bdbb7761b421d4f2bb38280d3a75ba0f21f2bebc45583d446c598660c94ce680c47d19c30783a7}",
        f"@sha512:{{{hashlib.sha512(b'password').hexdigest()}}}",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    ],
)
def test_every_stored_form_of_3_x_is_understood(stored):
    world = World({"ann": stored})
    assert world.says(credential("ann", "password")) == "ann"
    assert world.says(credential("ann", "Password")) == "auth.basic.password"


@pytest.mark.parametrize("algorithm", passwords.ALGORITHMS)
def test_every_form_that_is_written_is_understood(algorithm):
    world = World({"ann": passwords.make_stored(algorithm, "pässwört:".encode())})
    assert world.says(credential("ann", "pässwört:")) == "ann"
    assert world.says(credential("ann", "pässwört")) == "auth.basic.password"


def test_apache_md5_is_understood():
    world = World({"ann": "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"})
    assert world.says(credential("ann", "myPassword")) == "ann"
    assert world.says(credential("ann", "mypassword")) == "auth.basic.password"


def test_weakness_20_a_password_may_hold_colons():
    world = World({"ann": passwords.make_stored("sha256", b"a:b:c")})
    assert world.says(credential("ann", "a:b:c")) == "ann"
    assert world.says(credential("ann", "a")) == "auth.basic.password"


def _encoded(text: str | bytes) -> bytes:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "auth.basic.format"),
        (b"%%%", "auth.basic.format"),
        (b"YTpi YTpi", "auth.basic.format"),
        (b"YTpiYQ", "auth.basic.format"),
        (_encoded(b"ann:\xff\xfe"), "auth.basic.format"),
        (_encoded("ann"), "auth.basic.format"),
        (_encoded("ann:pass\0word"), "auth.basic.format"),
        (_encoded("an\nn:password"), "auth.basic.format"),
        (_encoded("ann:password\x85"), "auth.basic.format"),
        (_encoded("ann:" + "x" * 3000), "auth.basic.format"),
        (_encoded("ann:" + "x" * 1025), "auth.basic.password"),
        (_encoded("ann:"), "auth.basic.password"),
        (_encoded(":password"), "auth.basic.password"),
        (_encoded(":"), "auth.basic.password"),
        (_encoded("bob:password"), "auth.basic.password"),
        (_encoded("Ann:password"), "auth.basic.password"),
        (_encoded(" ann:password"), "auth.basic.password"),
        (_encoded("ann:password "), "auth.basic.password"),
    ],
)
def test_every_mistake_has_its_reason(text, reason):
    assert World({"ann": SHA1}).says(text) == reason


def test_the_line_end_of_a_shell_is_borne():
    assert World({"ann": SHA1}).says(_encoded("ann:password\n")) == "ann"


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_refused(text):
    for sent in (text, base64.b64encode(text)):
        try:
            user, password = basic.read(sent)
        except TokenError as error:
            assert error.reason in {basic.FORMAT, basic.PASSWORD}  # noqa: PT017 - either outcome is right
        else:
            assert user
            assert password


def test_the_caller_is_what_the_settings_say():
    world = World({"ann": SHA1}, scopes="read:pets, write:pets,")
    consumer = asyncio.run(world.ask(credential("ann", "password")))
    assert (consumer.name, consumer.credential, consumer.key_type) == ("ann", "basic", "PRODUCTION")
    assert consumer.scopes == {"read:pets", "write:pets"}
    assert consumer.application == "anonymous"
    assert len(consumer.token) == 16


def test_without_users_nobody_is_let_in():
    assert World({}).says(credential("ann", "password")) == "auth.basic.password"


# What is remembered.


def _counted(monkeypatch) -> list[bytes]:
    asked: list[bytes] = []
    matches = passwords.matches

    def count(stored, password):
        asked.append(password)
        return matches(stored, password)

    monkeypatch.setattr(passwords, "matches", count)
    return asked


def test_a_right_password_is_verified_once(monkeypatch):
    world, asked = World({"ann": SHA1}), _counted(monkeypatch)
    for _ in range(5):
        assert world.says(credential("ann", "password")) == "ann"
    assert len(asked) == 1


def test_equal_ones_that_come_together_share_one_verification(monkeypatch):
    world = World({"ann": passwords.make_stored("argon2id", b"x")})
    asked = _counted(monkeypatch)

    async def all_at_once():
        return await asyncio.gather(*(world.ask(credential("ann", "x"), f"192.0.2.{n}") for n in range(50)))

    assert {answer.name for answer in asyncio.run(all_at_once())} == {"ann"}
    assert len(asked) == 1


def test_a_wrong_password_is_remembered_for_a_moment(monkeypatch):
    world, asked = World({"ann": SHA1}), _counted(monkeypatch)
    for _ in range(100):
        assert world.says(credential("ann", "wrong")) == "auth.basic.password"
    assert len(asked) == 1  # nor does a client that repeats one mistake use up its tries
    world.clock.now += 6
    assert world.says(credential("ann", "wrong")) == "auth.basic.password"
    assert len(asked) == 2


def test_a_right_password_is_looked_at_anew_after_its_time(monkeypatch):
    world, asked = World({"ann": SHA1}), _counted(monkeypatch)
    world.says(credential("ann", "password"))
    world.clock.now += 900_001
    assert world.says(credential("ann", "password")) == "ann"
    assert len(asked) == 2


def test_an_unknown_user_costs_what_a_known_one_costs(monkeypatch):
    world, asked = World({"ann": SHA1, "bob": SHA256}), _counted(monkeypatch)
    assert world.says(credential("eve", "password")) == "auth.basic.password"
    assert asked == [b"password"]


def test_nothing_that_is_remembered_holds_a_password():
    world = World({"ann": SHA1})
    world.says(credential("ann", "password"))
    world.says(credential("ann", "another"))
    kept = repr((list(world.judge._known._entries), list(world.judge._failed)))
    for secret in (
        "password",
        "another",
        credential("ann", "password").decode(),
        credential("ann", "another").decode(),
    ):
        assert secret not in kept


# Guesses.


def test_guesses_of_one_address_are_limited():
    world = World({"ann": SHA1, "bob": SHA1}, rules=BasicAuth(failures_per_address=10, failures_per_user=0))
    world.says(credential("ann", "password"))
    for number in range(10):
        assert world.says(credential(f"user{number}", "guess")) == "auth.basic.password"
    assert world.says(credential("bob", "password")) == "auth.basic.guessing"
    assert world.says(credential("ann", "password")) == "ann"  # was verified before
    assert world.says(credential("bob", "password"), "192.0.2.2") == "bob"
    world.clock.now += 121
    assert world.says(credential("bob", "another")) == "auth.basic.password"


def test_guesses_for_one_user_are_limited_from_all_addresses():
    world = World({"ann": SHA1, "bob": SHA1}, rules=BasicAuth(failures_per_address=0, failures_per_user=10))
    for number in range(10):
        assert world.says(credential("ann", f"guess{number}"), f"192.0.2.{number}") == "auth.basic.password"
    assert world.says(credential("ann", "password"), "192.0.2.99") == "auth.basic.guessing"
    assert world.says(credential("bob", "password"), "192.0.2.99") == "bob"


def test_guesses_for_a_user_that_is_not_there_are_limited_alike():
    world = World({"ann": SHA1}, rules=BasicAuth(failures_per_address=0, failures_per_user=10))
    for number in range(10):
        assert world.says(credential("eve", f"guess{number}"), f"192.0.2.{number}") == "auth.basic.password"
    assert world.says(credential("eve", "guess"), "192.0.2.99") == "auth.basic.guessing"


def test_the_window_slides():
    world = World({"ann": SHA1}, rules=BasicAuth(failures_per_address=10, failure_window=60))
    world.clock.now = 6_000_000_050.0
    for number in range(10):
        world.says(credential("ann", f"guess{number}"))
    world.clock.now = 6_000_000_070.0
    assert world.says(credential("ann", "password")) in {"ann", "auth.basic.guessing"}
    world.clock.now = 6_000_000_200.0
    assert world.says(credential("ann", "password")) == "ann"


def test_the_refusal_of_guesses_says_when_to_come_back():
    world = World({"ann": SHA1}, rules=BasicAuth(failures_per_address=1, failure_window=90))
    world.says(credential("ann", "guess"))
    with pytest.raises(TokenError) as caught:
        world.judge.judge(SimpleNamespace(client="192.0.2.1"), b"", credential("ann", "password"))
    assert caught.value.fault.kind.status == 429
    assert caught.value.fault.headers == ((b"Retry-After", b"90"),)


def test_guesses_that_wait_are_refused_once_others_have_failed(monkeypatch):
    stored = passwords.make_stored("argon2id", b"x")
    world = World({"ann": stored}, rules=BasicAuth(failures_per_user=2, failures_per_address=0))
    asked = _counted(monkeypatch)

    async def flood():
        return await asyncio.gather(*(world.ask(credential("ann", f"guess{n}"), f"10.0.{n}.1") for n in range(40)))

    answers = asyncio.run(flood())
    assert len(asked) == 2
    assert answers.count("auth.basic.guessing") == 38


def test_more_than_can_wait_are_sent_away(monkeypatch):
    stored = passwords.make_stored("argon2id", b"x")
    world = World({"ann": stored}, rules=BasicAuth(failures_per_user=0, failures_per_address=3))

    async def flood():
        guesses = [world.ask(credential("ann", f"guess{n}")) for n in range(200)]
        others = [world.ask(credential("ann", "x"), "192.0.2.7")]
        return await asyncio.gather(*guesses, *others)

    answers = asyncio.run(flood())
    assert answers[-1].name == "ann"
    assert answers.count("auth.basic.busy") > 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "password",
        "@sha256:{abc}",
        "@md5:{5f4dcc3b5aa765d61d8327deb882cf99}",
        "$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$v=19$m=19456,t=2,p=1$c2Fs$aGFzaGhhc2hoYXNoaGFzaA",
        "$scrypt$ln=30,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$scrypt$ln=20,r=32,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
        "$2b$31$hvPMXmQBLqGtr7hNsHFc4e.rGQOc.ZRCNNW82b2H4JuyTzBTsWduC",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "{SHA}W6ph5Mm5",
    ],
)
def test_what_is_no_stored_password_or_too_dear_is_refused(text):
    from microgate.settings.stored_passwords import UnknownFormError

    with pytest.raises(UnknownFormError):
        read_stored(text)


@given(st.text(max_size=120) | st.from_regex(r"\$(argon2id|scrypt|2b|apr1)\$[-$=,.a-zA-Z0-9+/]*", fullmatch=True))
def test_no_text_is_more_than_refused_as_a_stored_password(text):
    from microgate.settings.stored_passwords import UnknownFormError

    try:
        read_stored(text)
    except UnknownFormError as error:
        assert text not in str(error) or len(text) < 4  # noqa: PT017 - either outcome is right


# Several stores.


class Told(UserStore):
    """A store that says what it is told, and counts."""

    def __init__(self, name, said, *, passes_when_down=False, cache_s=300.0):
        super().__init__(name, cache_s, passes_when_down=passes_when_down)
        self.said = said
        self.asked = 0

    async def check(self, attempt):
        self.asked += 1
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def _over(*stores: Told, rules: BasicAuth | None = None) -> World:
    world = World({}, rules=rules)
    world.judge._stores = stores
    return world


FOUND, UNKNOWN, WRONG, DOWN = Found("ann"), Refused.UNKNOWN, Refused.WRONG, StoreDownError("is gone")


@pytest.mark.parametrize(
    ("first", "second", "answer", "asked"),
    [
        (FOUND, FOUND, "ann", 0),
        (UNKNOWN, FOUND, "ann", 1),
        (WRONG, FOUND, "auth.basic.password", 0),
        (UNKNOWN, UNKNOWN, "auth.basic.password", 1),
        (DOWN, FOUND, "auth.basic.store_down", 0),
        (BusyError(), FOUND, "auth.basic.busy", 0),
    ],
)
def test_the_first_store_that_knows_the_name_decides(first, second, answer, asked):
    stores = Told("first", first), Told("second", second)
    assert _over(*stores).says(credential("ann", "password")) == answer
    assert stores[1].asked == asked


def test_a_store_that_is_down_is_passed_by_where_the_settings_say_so(caplog):
    stores = Told("first", DOWN, passes_when_down=True), Told("second", FOUND, cache_s=0)
    world = _over(*stores)
    for _ in range(3):
        assert world.says(credential("ann", "password")) == "ann"
    stores[0].said = UNKNOWN
    assert world.says(credential("ann", "password")) == "ann"
    assert [record.getMessage() for record in caplog.records] == [
        "the user store `first` is gone",
        "the user store `first` answers again",
    ]


def test_a_store_that_is_down_is_no_failure_of_the_caller():
    store = Told("first", DOWN)
    world = _over(store, rules=BasicAuth(failures_per_address=1))
    for _ in range(5):
        assert world.says(credential("ann", "password")) == "auth.basic.store_down"
    store.said = FOUND
    assert world.says(credential("ann", "password")) == "ann"


def test_a_right_password_of_a_store_is_remembered_for_its_time():
    store = Told("first", FOUND, cache_s=60)
    world = _over(store)
    for seconds in (0, 59, 2):
        world.clock.now += seconds
        assert world.says(credential("ann", "password")) == "ann"
    assert store.asked == 2


def test_news_of_a_store_ends_what_is_remembered():
    store = Told("first", FOUND)
    world = _over(store)
    world.judge._watched = (store,)
    assert world.says(credential("ann", "password")) == "ann"
    store.said = WRONG
    assert world.says(credential("ann", "password")) == "ann"
    store.changed = lambda: True
    assert world.says(credential("ann", "password")) == "auth.basic.password"
