"""Key sets followed by the steward for all workers: rotation, storms, outages. The issuer is a real server, so are the pairs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.backend import Backend, Talk, respond
from harness.minting import ISSUER, Clock, Gate, Signer, good_claims, key_set, settings_of
from microgate.runtime.channel import StewardHub, WorkerChannel, open_pairs
from microgate.runtime.control import Hello
from microgate.runtime.security import refusals
from microgate.runtime.security.context import SecurityContext
from microgate.runtime.security.tokens import followed_keys, keys
from microgate.runtime.security.tokens.keys import REMOTE, Pace
from microgate.runtime.steward import Steward
from microgate.settings.model import JwtIssuer, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

RESTLESS = Pace(renew=0.05, first_retry=0.02, retry=0.05, cool_down=30.0, expiry=60.0)


class House:
    """Workers and a steward on one loop, over the pairs that serve between processes."""

    def __init__(self, settings: Settings, workers: int, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._pairs = open_pairs(workers)
        loop = asyncio.get_running_loop()
        self._channels = [WorkerChannel(loop, pair.worker) for pair in self._pairs]
        self.contexts = [SecurityContext(settings, channel, clock=Clock()) for channel in self._channels]
        self.gates = [Gate(context) for context in self.contexts]
        self.gate = self.gates[0]
        self.counts: Counter[str] = Counter()

    def count(self, name: str) -> Callable[[int], None]:
        return lambda count: self.counts.update({name: count})

    async def open(self) -> None:
        self._hub = StewardHub(asyncio.get_running_loop(), tuple(pair.steward for pair in self._pairs))
        self._steward = Steward(self._hub)
        await self._steward.start(keys.jobs(self._settings, self.count, remote=self._pace))
        self._hub.open()
        for slot, channel in enumerate(self._channels):
            channel.send(Hello(slot=slot, pid=0))

    async def close_steward(self) -> None:
        self._hub.close()
        await self._steward.stop()

    async def close(self) -> None:
        await self.close_steward()
        for channel, pair in zip(self._channels, self._pairs, strict=True):
            channel.close()
            pair.worker.close()
            pair.steward.close()

    async def reason(self, token: bytes, worker: int = 0) -> str:
        exchange = await self.gates[worker].judge_slowly(b"Bearer " + token)
        return exchange.fault.reason if exchange.fault is not None else ""


@contextlib.asynccontextmanager
async def house(settings: Settings, workers: int = 1, pace: Pace = REMOTE) -> AsyncIterator[House]:
    built = House(settings, workers, pace)
    await built.open()
    try:
        yield built
    finally:
        await built.close()


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


async def until_reason(house: House, token: bytes, expected: str) -> None:
    deadline = time.monotonic() + 5
    while (found := await house.reason(token)) != expected:
        assert time.monotonic() < deadline, f"{found} instead of {expected!r}"
        await asyncio.sleep(0.01)


@pytest.fixture
def issuer() -> Iterator[Backend]:
    with Backend() as server:
        yield server


@pytest.fixture
def pair() -> tuple[Signer, Signer]:
    return Signer("ES256", "old"), Signer("EdDSA", "new")


def trusting(issuer: Backend, **more: Any) -> Settings:
    return settings_of(JwtIssuer(issuer=ISSUER, jwks_url=f"{issuer.url}/keys", **more))


def publish(issuer: Backend, *signers: Signer) -> None:
    issuer.script = respond(key_set(*(signer.jwk() for signer in signers)))


def down(issuer: Backend) -> None:
    issuer.script = respond(b"no", status="500 Internal Server Error")


def test_case_26_a_rotated_key_is_accepted_on_that_very_request(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            publish(issuer, old, new)
            assert await built.reason(new.token()) == ""
            assert await built.reason(old.token()) == ""

    asyncio.run(play())
    assert [request.target for request in issuer.requests] == ["/keys", "/keys"]


def test_case_26_what_one_worker_learns_all_know(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer), workers=3) as built:
            assert [await built.reason(old.token(), worker) for worker in range(3)] == [""] * 3
            publish(issuer, new)
            assert [await built.reason(new.token(), worker) for worker in range(3)] == [""] * 3

    asyncio.run(play())
    assert len(issuer.requests) == 2


def test_a_key_that_is_gone_takes_its_verdicts_along(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            publish(issuer, new)
            assert await built.reason(new.token()) == ""
            assert await built.reason(old.token()) == refusals.KEY_UNKNOWN

    asyncio.run(play())


def test_case_27_r14_unknown_key_ids_cause_one_fetch(issuer, pair) -> None:
    old, _ = pair
    publish(issuer, old)
    most = []
    open_now = []

    def slowly(talk: Talk) -> None:
        open_now.append(1)
        most.append(len(open_now))
        talk.wait(seconds=0.1)
        open_now.pop()
        respond(key_set(old.jwk()))(talk)

    async def play() -> None:
        async with house(trusting(issuer), workers=2) as built:
            assert await built.reason(old.token()) == ""
            issuer.script = slowly
            tokens = [old.token(kid=os.urandom(8).hex()) for _ in range(1_000)]
            reasons = await asyncio.gather(*(built.reason(token, at % 2) for at, token in enumerate(tokens)))
            assert set(reasons) == {refusals.KEY_UNKNOWN}
            for index in range(10_000):
                token = old.token(kid=f"made-up-{index}") if index < 50 else tokens[index % 1_000]
                assert built.gates[index % 2].reason(token) == refusals.KEY_UNKNOWN
            assert await built.reason(old.token()) == ""

    asyncio.run(play())
    assert len(issuer.requests) == 2
    assert most == [1]


def test_case_27_after_the_cool_down_the_issuer_is_asked_again(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer), pace=REMOTE._replace(cool_down=0.3)) as built:
            assert await built.reason(old.token()) == ""
            assert await built.reason(old.token(kid="made-up")) == refusals.KEY_UNKNOWN
            publish(issuer, new)
            assert await built.reason(new.token()) == refusals.KEY_UNKNOWN
            await until_reason(built, new.token(), "")

    asyncio.run(play())
    assert len(issuer.requests) == 3


def test_case_28_r14_an_outage_is_survived_until_the_keys_expire(issuer, pair, caplog) -> None:
    old, _ = pair
    publish(issuer, old)
    caplog.set_level(logging.INFO, "microgate.security")

    async def play() -> None:
        async with house(trusting(issuer), pace=RESTLESS._replace(expiry=1.0)) as built:
            assert await built.reason(old.token()) == ""
            down(issuer)
            before = len(issuer.requests)
            await until(lambda: len(issuer.requests) >= before + 5, "the issuer is asked again")
            assert await built.reason(old.token()) == ""
            assert await built.reason(old.token(good_claims(sub="bob"))) == ""
            assert await built.reason(old.token(kid="made-up")) == refusals.KEY_UNKNOWN
            await until_reason(built, old.token(), refusals.KEYS_UNAVAILABLE)
            assert built.counts["key_set_failures"] >= 4
            assert built.counts["key_set_fetches"] > built.counts["key_set_failures"]
            publish(issuer, old)
            await until_reason(built, old.token(), "")

    asyncio.run(play())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len([text for text in warnings if "its last keys stay in use" in text]) == 1
    assert all(ISSUER in text and "the answer is 500" in text for text in warnings)
    assert any("could not be renewed for too long" in record.getMessage() for record in caplog.records)


def test_case_08_no_keys_from_the_start_means_closed_and_recovers_alone(issuer, pair, caplog) -> None:
    old, new = pair
    down(issuer)

    async def play() -> None:
        async with house(trusting(issuer), workers=2, pace=RESTLESS._replace(renew=60.0)) as built:
            for worker in range(2):
                exchange = await built.gates[worker].judge_slowly(b"Bearer " + old.token())
                assert exchange.fault.kind.status == 503
                assert exchange.fault.reason == refusals.KEYS_UNAVAILABLE
                assert exchange.consumer is None
            publish(issuer, old)
            await until_reason(built, old.token(), "")
            publish(issuer, old, new)
            assert await built.reason(new.token()) == "", "the outage has not used up the fetch for a rotation"

    asyncio.run(play())
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    trouble = f"the key set {issuer.url}/keys of issuer {ISSUER} cannot be used: the answer is 500"
    assert warnings == [f"{trouble}; tokens of this issuer are refused until it is there"]


def test_case_08_a_refused_connection_is_named(pair, caplog) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/keys"

        async def play() -> None:
            async with house(settings_of(JwtIssuer(issuer=ISSUER, jwks_url=url))) as built:
                assert await built.reason(pair[0].token()) == refusals.KEYS_UNAVAILABLE

        asyncio.run(play())
    assert f"of issuer {ISSUER} cannot be used: connection refused" in caplog.text


def test_garbage_does_not_replace_good_keys(issuer, pair, caplog) -> None:
    old, _ = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer), pace=RESTLESS) as built:
            assert await built.reason(old.token()) == ""
            for body in (b"<html>", b"{}", b'{"keys":[]}', b'{"keys":[{"kty":"oct","k":"AAAA","kid":"old"}]}'):
                issuer.script = respond(body)
                before = len(issuer.requests)
                await until(lambda before=before: len(issuer.requests) >= before + 2, "asked again")
                assert await built.reason(old.token(good_claims(sub=body.decode()))) == ""

    asyncio.run(play())
    assert "is not JSON" in caplog.text


def test_a_request_does_not_wait_for_ever(issuer, pair, monkeypatch) -> None:
    old, new = pair
    publish(issuer, old)
    monkeypatch.setattr(followed_keys, "WAIT_SECONDS", 0.1)

    def hang(talk: Talk) -> None:
        talk.wait()

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            issuer.script = hang
            started = time.monotonic()
            assert await built.reason(new.token()) == refusals.KEY_UNKNOWN
            assert 0.05 < time.monotonic() - started < 2
            assert await built.reason(old.token()) == ""

    asyncio.run(play())


def test_waiting_requests_are_bounded(issuer, pair, monkeypatch) -> None:
    old, new = pair
    publish(issuer, old)
    monkeypatch.setattr(followed_keys, "MAX_WAITING", 10)

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            publish(issuer, new)
            outcomes = [built.gate.stages[0](built.gate.exchange(b"Bearer " + new.token())) for _ in range(12)]
            waiting = [outcome for outcome in outcomes if asyncio.iscoroutine(outcome)]
            assert len(waiting) == 10
            assert await asyncio.gather(*waiting) == [None] * 10

    asyncio.run(play())


def test_one_client_that_leaves_does_not_take_the_others_along(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            publish(issuer, new)
            first, second = (asyncio.create_task(built.reason(new.token())) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == ""

    asyncio.run(play())


def test_a_new_steward_takes_over(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)

    async def play() -> None:
        async with house(trusting(issuer)) as built:
            assert await built.reason(old.token()) == ""
            await built.close_steward()
            assert await built.reason(old.token(good_claims(sub="bob"))) == ""
            publish(issuer, old, new)
            await built.open()
            assert await built.reason(new.token()) == ""

    asyncio.run(play())


def test_entries_that_name_one_key_set_share_its_fetches(issuer, pair) -> None:
    old, _ = pair
    publish(issuer, old)
    url = f"{issuer.url}/keys"
    settings = settings_of(
        JwtIssuer(issuer=ISSUER, jwks_url=url, audience=("a",)), JwtIssuer(issuer="https://two", jwks_url=url)
    )

    async def play() -> None:
        async with house(settings) as built:
            assert await built.reason(old.token(good_claims(aud="a"))) == ""
            assert await built.reason(old.token(good_claims(iss="https://two"))) == ""
            assert await built.reason(old.token()) == refusals.AUDIENCE

    asyncio.run(play())
    assert len(issuer.requests) == 1


def test_r10_no_address_of_a_token_is_ever_dialled(issuer, pair) -> None:
    old, new = pair
    publish(issuer, old)
    with Backend(respond(key_set(new.jwk()))) as attacker:

        async def play() -> None:
            async with house(trusting(issuer)) as built:
                address = f"{attacker.url}/keys"
                for name in ("jku", "x5u", "jwks_uri"):
                    assert await built.reason(new.token(**{name: address})) == refusals.KEY_UNKNOWN
                assert await built.reason(new.token(kid=address)) == refusals.KEY_UNKNOWN
                claims = good_claims(iss=attacker.url)
                assert await built.reason(new.token(claims)) == refusals.ISSUER

        asyncio.run(play())
        assert attacker.connections == []


def test_r10_a_redirect_is_not_followed(issuer, pair, caplog) -> None:
    with Backend(respond(key_set(pair[0].jwk()))) as elsewhere:
        issuer.script = respond(b"", status="302 Found", headers=(("Location", f"{elsewhere.url}/keys"),))

        async def play() -> None:
            async with house(trusting(issuer)) as built:
                assert await built.reason(pair[0].token()) == refusals.KEYS_UNAVAILABLE

        asyncio.run(play())
        assert elsewhere.connections == []
    assert "the answer is 302, and redirects are not followed" in caplog.text


def test_a_key_set_in_a_file_is_read_again_when_it_changes(tmp_path, pair, monkeypatch, caplog) -> None:
    old, new = pair
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(old.jwk()))
    monkeypatch.setattr(keys, "LOCAL", keys.LOCAL._replace(renew=0.02, first_retry=0.02, retry=0.02))
    settings = settings_of(JwtIssuer(issuer=ISSUER, jwks_file=str(file)))

    async def play() -> None:
        async with house(settings) as built:
            assert await built.reason(old.token()) == ""
            file.write_bytes(b"{")
            await until(lambda: "is not JSON" in caplog.text, "the bad file is noticed")
            assert await built.reason(old.token(good_claims(sub="bob"))) == ""
            file.unlink()
            await until(lambda: "no such file" in caplog.text, "the missing file is noticed")
            assert await built.reason(old.token(good_claims(sub="eve"))) == ""
            file.write_bytes(key_set(new.jwk()))
            await until_reason(built, new.token(), "")
            assert await built.reason(old.token()) == refusals.KEY_UNKNOWN

    asyncio.run(play())


def test_a_key_set_without_tls_is_warned_of(pair, caplog) -> None:
    settings = settings_of(JwtIssuer(issuer=ISSUER, jwks_url="http://127.0.0.2:1/keys"))

    async def play() -> None:
        async with house(settings) as built:
            assert await built.reason(pair[0].token()) == refusals.KEYS_UNAVAILABLE

    asyncio.run(play())
    assert caplog.text.count("comes without TLS") == 1
