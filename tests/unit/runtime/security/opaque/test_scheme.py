"""The scheme of opaque tokens against a scripted service: what is asked, what is remembered, and what happens when it fails."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest

from harness import aio
from harness.backend import Backend, raw, respond
from harness.contexts import context_of, run
from harness.minting import NOW, Clock, Gate, settings_of
from microgate.runtime.security import breaker
from microgate.runtime.security.opaque import token_memory
from microgate.settings.model import Caching, KeyManager

if TYPE_CHECKING:
    from harness.backend import Script, Talk


def said(**members: object) -> Script:
    return respond(json.dumps(members).encode(), headers=(("Content-Type", "application/json"),))


def good(**members: object) -> Script:
    return said(**{"active": True, "scope": "read", "client_id": "shop", "exp": NOW + 60} | members)


def gate_of(service: Backend, clock: Clock | None = None, caching: Caching | None = None, **manager: object) -> Gate:
    keys = KeyManager(introspection_url=f"{service.url}/introspect", **manager)
    return Gate(context_of(settings_of(key_manager=keys, caching=caching or Caching()), clock))


async def outcome(gate: Gate, token: bytes) -> str:
    """ "" for a token that passes, else the reason."""
    exchange = await gate.judge_slowly(b"Bearer " + token)
    return exchange.fault.reason if exchange.fault is not None else ""


def test_a_good_token_is_asked_about_once_until_it_ends() -> None:
    clock = Clock()

    async def main() -> None:
        gate = gate_of(service, clock)
        assert [await outcome(gate, b"tok/en+1=") for _ in range(3)] == [""] * 3
        assert len(service.requests) == 1
        clock.now = NOW + 59.9
        assert gate.judge(b"Bearer tok/en+1=").fault is None
        clock.now = NOW + 60
        assert await outcome(gate, b"tok/en+1=") == "auth.opaque.expired"

    with Backend(good()) as service:
        run(main())
        request = service.requests[0]
    assert (request.method, request.target) == ("POST", "/introspect")
    assert request.body == b"token=tok%2Fen%2B1%3D"


@pytest.mark.parametrize(
    ("members", "caching", "seconds"),
    [
        ({"exp": NOW + 60}, {}, 60),
        ({"exp": NOW + 60}, {"token_cache_expiry_time": 5}, 5),
        ({"exp": None}, {}, 3_600),
        ({"exp": None}, {"token_cache_expiry_time": 50}, 50),
        ({"exp": 9_223_372_036_854_775_807}, {}, 3_600),
        ({"exp": NOW + 10_000}, {}, 10_000),
    ],
)
def test_a_verdict_lasts_as_long_as_it_may_and_no_longer(members, caching, seconds) -> None:
    clock = Clock()

    async def main() -> None:
        gate = gate_of(service, clock, caching=Caching(**caching))
        assert await outcome(gate, b"t") == ""
        clock.now = NOW + seconds - 0.5
        await outcome(gate, b"t")
        assert len(service.requests) == 1
        clock.now = NOW + seconds
        await outcome(gate, b"t")
        assert len(service.requests) == 2

    with Backend(good(**members)) as service:
        run(main())


def test_many_that_bring_one_token_wait_for_one_answer() -> None:
    release = threading.Event()

    def script(talk: Talk) -> None:
        talk.read_body()
        talk.wait(release)
        good()(talk)

    async def main() -> None:
        gate = gate_of(service)
        waiting = [asyncio.ensure_future(outcome(gate, b"t")) for _ in range(200)]
        await aio.until(lambda: len(service.requests) == 1)
        waiting[0].cancel()  # a client that leaves takes nobody's answer along
        release.set()
        assert await asyncio.gather(*waiting[1:]) == [""] * 199
        assert len(service.requests) == 1

    with Backend(script) as service:
        run(main())


def test_a_refused_token_is_not_asked_about_again_for_a_while() -> None:
    clock = Clock()

    async def main() -> None:
        gate = gate_of(service, clock)
        assert [await outcome(gate, b"t") for _ in range(5)] == ["auth.opaque.inactive"] * 5
        assert len(service.requests) == 1
        clock.now += 10
        service.script = good()
        assert await outcome(gate, b"t") == ""

    with Backend(said(active=False)) as service:
        run(main())


def test_refusals_can_be_forgotten_at_once() -> None:
    async def main() -> None:
        gate = gate_of(service, caching=Caching(refused_token_expiry_time=0))
        assert [await outcome(gate, b"t") for _ in range(3)] == ["auth.opaque.inactive"] * 3
        assert len(service.requests) == 3

    with Backend(said(active=False)) as service:
        run(main())


def test_a_flood_of_made_up_tokens_evicts_no_good_one(monkeypatch) -> None:
    monkeypatch.setattr(token_memory, "MAX_REFUSED", 50)

    async def main() -> None:
        gate = gate_of(service, caching=Caching(token_cache_capacity=10))
        for number in range(10):
            assert await outcome(gate, b"good-%d" % number) == ""
        service.script = said(active=False)
        for number in range(200):
            assert await outcome(gate, b"bad-%d" % number) == "auth.opaque.inactive"
        service.script = raw(b"", then="close")
        for number in range(10):
            assert gate.judge(b"Bearer good-%d" % number).fault is None

    with Backend(good()) as service:
        run(main())


@pytest.mark.parametrize(
    "token", [b"a b", b"a\x00b", b"\xff", b"a%20", b"=", b"a=b", b"a&token=b", b'a"', b"x" * 4_097, b"t\xc3\xa4"]
)
def test_what_no_issuer_gives_out_is_refused_without_a_question(token) -> None:
    async def main() -> None:
        assert await outcome(gate_of(service), token) == "auth.opaque.malformed"

    with Backend(good()) as service:
        run(main())
        assert service.bytes == 0


HOSTILE = {
    "not JSON": respond(b"<html>"),
    "active is a word": said(active="yes"),
    "nothing": respond(b""),
    "huge": respond(b'{"active": true, "a": "' + bytes(100_000) + b'"}'),
    "larger than is read": respond(b" " * 2_000_000),
    "a redirect": respond(b"", status="302 Found", headers=(("Location", "/elsewhere"),)),
    "created": respond(b'{"active": true}', status="201 Created"),
    "bad request": respond(b"", status="400 Bad Request"),
    "our credentials": respond(b"", status="401 Unauthorized"),
    "forbidden": respond(b"", status="403 Forbidden"),
    "not found": respond(b"", status="404 Not Found"),
    "too many": respond(b"", status="429 Too Many Requests"),
    "a failure": respond(b'{"active": true}', status="500 Internal Server Error"),
    "cut short": raw(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"active": true}', then="close"),
    "no HTTP": raw(b"SSH-2.0\r\n", then="close"),
    "closed": raw(b"", then="close"),
    "reset": raw(b"", then="reset"),
    "compressed": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"),
    "slow": raw(b"HTTP/1.1 200 OK\r\nContent-Le", then="hold"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_service_without_a_plain_answer_admits_nobody(name) -> None:
    async def main() -> None:
        gate = gate_of(service, timeout_in_millis=300)
        exchange = await gate.judge_slowly(b"Bearer t")
        assert exchange.consumer is None
        assert (exchange.fault.kind.status, exchange.fault.kind.code) == (503, 900900)
        assert exchange.fault.reason == "auth.opaque.answer"

    with Backend(HOSTILE[name]) as service:
        run(main())


def test_a_service_that_fails_in_a_row_is_left_alone_and_found_again() -> None:
    async def main() -> None:
        gate = gate_of(service)
        assert await outcome(gate, b"known") == ""
        service.script = respond(b"", status="500 Internal Server Error")
        for number in range(50):
            assert await outcome(gate, b"t%d" % number) == "auth.opaque.answer"
        assert len(service.requests) == 1 + breaker.FAILURES_TO_OPEN
        assert gate.judge(b"Bearer known").fault is None
        service.script = good()
        await aio.pace(breaker.FIRST_PAUSE_SECONDS)
        assert await outcome(gate, b"fresh") == ""
        assert [await outcome(gate, b"u%d" % number) for number in range(5)] == [""] * 5

    with Backend(good()) as service:
        run(main())


def test_without_a_key_manager_nothing_is_asked() -> None:
    gate = Gate(context_of(settings_of(), Clock()))
    assert gate.reason(b"opaque-token") == "auth.opaque.unknown"


def test_a_token_with_a_dot_is_opaque_where_somebody_can_be_asked(clock) -> None:
    async def main() -> None:
        gate = gate_of(service)
        assert await outcome(gate, b"prefix.rest") == ""
        assert await outcome(gate, b"a.b.c") == "auth.jwt.issuer"

    with Backend(good()) as service:
        run(main())


def test_the_digest_of_a_token_is_known_and_its_text_is_not() -> None:
    async def main() -> None:
        exchange = await gate_of(service).judge_slowly(b"Bearer secret-token")
        consumer = exchange.consumer
        assert len(consumer.token) == 16
        assert consumer.issuer == KeyManager().issuer
        assert "secret-token" not in repr([getattr(consumer, name) for name in consumer.__slots__])

    with Backend(good()) as service:
        run(main())


def test_the_server_of_3x_is_asked_at_its_address() -> None:
    async def main() -> None:
        manager = KeyManager(server_url=f"{service.url}/", token_context="/oauth2/")
        gate = Gate(context_of(settings_of(key_manager=manager), Clock()))
        assert await outcome(gate, b"t") == ""

    with Backend(good()) as service:
        run(main())
        assert service.requests[0].target == "/oauth2/introspect"
