"""The door to services: how many calls at once, what a failure is, when nobody is made to wait any more."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import pytest

from harness import aio
from harness.backend import Backend, raw, respond
from microgate.runtime.security import breaker, calls
from microgate.runtime.security.calls import Service, ServiceError, Shared
from microgate.runtime.security.fetch import FetchError, Question, make_tls
from microgate.settings.model import Backend as BackendSettings
from microgate.settings.model import Settings

if TYPE_CHECKING:
    from harness.backend import Script, Talk

ASK = Question()
TLS = partial(make_tls, Settings())


def service_of(backend: Backend, counts: Counter[str] | None = None, timeout_s: float = 2.0) -> Service:
    seen: Counter[str] = Counter() if counts is None else counts

    def counter(name: str):
        return lambda count: seen.update({name: count})

    return Service("oracle", backend.url, TLS, timeout_s=timeout_s, counter=counter)


def holding(release: threading.Event) -> Script:
    def script(talk: Talk) -> None:
        talk.read_body()
        talk.wait(release)
        respond()(talk)

    return script


async def failure(service: Service) -> str:
    with pytest.raises(ServiceError) as caught:
        await service.call(ASK)
    return str(caught.value)


def test_a_connection_is_kept_for_the_next_call() -> None:
    async def main() -> None:
        service = service_of(backend)
        for _ in range(5):
            assert (await service.call(ASK)).status == 200
        service.close()

    with Backend() as backend:
        aio.run(main())
        assert len(backend.connections) == 1


def test_a_kept_connection_that_died_is_replaced() -> None:
    async def main() -> None:
        service = service_of(backend)
        for _ in range(3):
            assert (await service.call(ASK)).body == b"ok"
        service.close()

    def once(talk: Talk) -> None:
        respond()(talk)
        talk.close()

    with Backend(once) as backend:
        aio.run(main())
        assert len(backend.requests) == 3


def test_so_many_calls_at_once_and_the_rest_waits() -> None:
    release = threading.Event()

    async def main() -> None:
        service = service_of(backend, timeout_s=20.0)
        asked = [asyncio.ensure_future(service.call(ASK)) for _ in range(calls.MAX_CALLS + 40)]
        await aio.until(lambda: len(backend.requests) == calls.MAX_CALLS)
        assert len(backend.connections) == calls.MAX_CALLS
        release.set()
        assert all(reply.status == 200 for reply in await asyncio.gather(*asked))
        service.close()

    with Backend(holding(release)) as backend:
        aio.run(main())


def test_those_who_wait_are_bounded_too(monkeypatch) -> None:
    monkeypatch.setattr(calls, "MAX_WAITING", 3)
    release = threading.Event()

    async def main() -> None:
        service = service_of(backend, timeout_s=20.0)
        asked = [asyncio.ensure_future(service.call(ASK)) for _ in range(3)]
        await aio.until(lambda: len(backend.requests) == 3)
        assert "is waited for by 3 requests already" in await failure(service)
        release.set()
        await asyncio.gather(*asked)
        assert (await service.call(ASK)).status == 200
        service.close()

    with Backend(holding(release)) as backend:
        aio.run(main())


def test_the_breaker_opens_tries_one_and_closes(caplog) -> None:
    counts: Counter[str] = Counter()
    release = threading.Event()

    async def main() -> None:
        service = service_of(backend, counts)
        for _ in range(breaker.FAILURES_TO_OPEN):
            assert (await service.call(ASK)).status == 503
        for _ in range(20):
            assert "not asked for a while" in await failure(service)
        assert len(backend.requests) == breaker.FAILURES_TO_OPEN
        await aio.pace(breaker.FIRST_PAUSE_SECONDS)
        backend.script = holding(release)
        trial = asyncio.ensure_future(service.call(ASK))
        await aio.until(lambda: len(backend.requests) == breaker.FAILURES_TO_OPEN + 1)
        assert "not asked for a while" in await failure(service)
        release.set()
        assert (await trial).status == 200
        replies = await asyncio.gather(*(service.call(ASK) for _ in range(10)))
        assert [reply.status for reply in replies] == [200] * 10
        service.close()

    with Backend(respond(status="503 Service Unavailable")) as backend:
        aio.run(main())
    said = [record.getMessage() for record in caplog.records if "oracle" in record.getMessage()]
    assert len(said) == 2
    assert "does not answer: it answers 503" in said[0]
    assert "answers again" in said[1]
    assert counts == {"service_calls": breaker.FAILURES_TO_OPEN + 11, "service_call_failures": breaker.FAILURES_TO_OPEN}


def test_a_service_that_hangs_costs_no_more_than_its_time() -> None:
    async def main() -> None:
        service = service_of(backend, timeout_s=0.2)
        asked = await asyncio.gather(*(service.call(ASK) for _ in range(100)), return_exceptions=True)
        assert all(isinstance(one, ServiceError) for one in asked)
        assert not service._idle
        service.close()

    with Backend(raw(b"", then="hold")) as backend:
        aio.run(main())


def test_a_server_that_nobody_vouches_for_is_not_asked(identity, tmp_path) -> None:
    async def main() -> None:
        stranger = Service("oracle", backend.url.replace("127.0.0.1", "localhost"), TLS)
        assert "certificate" in await failure(stranger)
        trusting = Settings(backend=BackendSettings(ca_file=str(identity.certificate_file)))
        known = Service("oracle", backend.url.replace("127.0.0.1", "localhost"), partial(make_tls, trusting))
        assert (await known.call(ASK)).status == 200
        known.close()

    with Backend(tls=identity.server_context()) as backend:
        aio.run(main())
        assert len(backend.requests) == 1


@pytest.mark.parametrize("url", ["ftp://x/", "x", "http://u:p@x/", "http://", "http://x:99999/", "http://x/a b"])
def test_an_address_that_cannot_be_asked_is_an_error_at_once(url) -> None:
    with pytest.raises(FetchError):
        Service("oracle", url, TLS)


def test_one_that_leaves_cancels_nothing_for_the_others() -> None:
    async def main() -> None:
        shared: Shared[int] = Shared()
        answer = asyncio.get_running_loop().create_future()
        asked = []

        async def ask() -> int:
            asked.append(1)
            return int(await answer)

        waiting = [asyncio.ensure_future(shared.get("key", ask)) for _ in range(5)]
        await aio.until(lambda: asked)
        waiting[0].cancel()
        answer.set_result(7)
        assert await asyncio.gather(*waiting[1:]) == [7] * 4
        assert len(asked) == 1
        assert len(shared) == 0

    aio.run(main())


def test_a_failure_is_told_to_all_and_not_kept() -> None:
    async def main() -> None:
        shared: Shared[int] = Shared()

        async def fail() -> int:
            raise ServiceError("is down")

        async def answer() -> int:
            return 5

        asked = await asyncio.gather(*(shared.get("key", fail) for _ in range(3)), return_exceptions=True)
        assert [str(one) for one in asked] == ["is down"] * 3
        assert await shared.get("key", answer) == 5

    aio.run(main())
