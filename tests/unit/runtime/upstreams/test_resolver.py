"""Names to addresses, against a real name server: times to live, outages, and what is no name."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from harness.aio import run, until
from harness.dns import NameServer
from microgate.runtime.upstreams.resolver import MAX_NAMES, ResolveError, Resolver

V4, V6 = socket.AF_INET, socket.AF_INET6
NAME = "backend.test"


@contextlib.contextmanager
def resolver_of(server):
    resolver = Resolver(asyncio.get_running_loop(), servers=[server.address])
    try:
        yield resolver
    finally:
        resolver.close()


def texts(addresses):
    return [text for _, text in addresses]


def on_a_name_server(records, **options):
    """A test that gets the name server and a resolver that asks it."""

    def decorate(test):
        def wrapped():
            async def main():
                with NameServer(records, **options) as server, resolver_of(server) as resolver:
                    await test(server, resolver)

            run(main())

        wrapped.__name__ = test.__name__
        return wrapped

    return decorate


@on_a_name_server({NAME: {"A": ["127.0.0.1", "127.0.0.2", "127.0.0.3"], "AAAA": ["::1", "::2"]}})
async def test_both_families_come_in_turn_ipv6_first(server, resolver):
    assert await resolver.addresses(NAME) == (
        (V6, "::1"),
        (V4, "127.0.0.1"),
        (V6, "::2"),
        (V4, "127.0.0.2"),
        (V4, "127.0.0.3"),
    )


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}})
async def test_a_name_is_asked_for_once_in_its_life_however_many_want_it(server, resolver):
    answers = await asyncio.gather(*(resolver.addresses(NAME) for _ in range(100)))
    answers.append(await resolver.addresses(NAME))
    answers.append(resolver.cached(NAME))

    assert set(answers) == {((V4, "127.0.0.1"),)}
    assert server.asked == {(NAME, "A"): 1, (NAME, "AAAA"): 1}


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}}, ttl=1)
async def test_case_37_new_connections_follow_a_name_that_moves_within_its_ttl_and_5_s(server, resolver):
    assert texts(await resolver.addresses(NAME)) == ["127.0.0.1"]
    server.records[NAME] = {"A": ["127.0.0.2"]}
    moved = time.monotonic()

    while texts(await resolver.addresses(NAME)) != ["127.0.0.2"]:
        assert time.monotonic() - moved < 1 + 5
        await asyncio.sleep(0.02)


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}}, ttl=1)
async def test_case_37_an_idle_name_is_asked_anew_before_it_is_used(server, resolver):
    await resolver.addresses(NAME)
    await until(lambda: resolver.cached(NAME) is None or server.asked[NAME, "A"] > 1, "the answer expires")
    server.records[NAME] = {"A": ["127.0.0.2"]}
    expired = asyncio.get_running_loop().time() + 1.5
    await until(lambda: asyncio.get_running_loop().time() > expired, "nobody uses the name for a while")

    assert texts(await resolver.addresses(NAME)) == ["127.0.0.2"]


@pytest.mark.parametrize("outage", ["silent", "failing", "gone"])
def test_case_37_last_good_addresses_outlive_the_name_server_and_recovery_needs_no_restart(outage):
    async def main():
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(NameServer({NAME: {"A": ["127.0.0.1"]}}, ttl=1))
            resolver = stack.enter_context(resolver_of(server))
            await resolver.addresses(NAME)
            if outage == "gone":
                server.go_away()
            else:
                setattr(server, outage, {"A", "AAAA"})
            began, slowest = time.monotonic(), 0.0
            while time.monotonic() - began < 2.5:
                asked = time.monotonic()
                assert texts(await resolver.addresses(NAME)) == ["127.0.0.1"]
                slowest = max(slowest, time.monotonic() - asked)
                await asyncio.sleep(0.02)
            assert slowest < 1.5
            server.records[NAME] = {"A": ["127.0.0.2"]}
            if outage == "gone":
                server.come_back()
            server.recover()
            back = time.monotonic()
            while texts(await resolver.addresses(NAME)) != ["127.0.0.2"]:
                assert time.monotonic() - back < 1 + 5
                await asyncio.sleep(0.02)

    run(main())


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}})
async def test_case_37_after_a_failure_the_systems_settings_are_read_anew(server, resolver):
    """A container that starts before its network gets name servers later; no restart is needed to see them."""
    server.failing = {"A", "AAAA"}
    with pytest.raises(ResolveError, match="general failure"):
        await resolver.addresses(NAME)
    server.recover()
    before = resolver._channel

    with pytest.raises(ResolveError, match="no such name"):
        await resolver.addresses("other.test")

    assert resolver._channel is not before


@on_a_name_server({})
async def test_a_name_that_appears_is_found_and_one_that_is_missing_is_not_asked_for_at_once_again(server, resolver):
    for _ in range(20):
        with pytest.raises(ResolveError, match="no such name"):
            await resolver.addresses(NAME)
    assert server.asked[NAME, "A"] == 1

    server.records[NAME] = {"A": ["127.0.0.1"]}

    async def found():
        try:
            return await resolver.addresses(NAME)
        except ResolveError:
            return None

    began = time.monotonic()
    while await found() is None:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.02)


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}}, ttl=1)
async def test_a_name_that_is_taken_away_is_gone(server, resolver):
    await resolver.addresses(NAME)
    del server.records[NAME]

    async def use_for_six_seconds():
        began = time.monotonic()
        while time.monotonic() - began < 6:
            await resolver.addresses(NAME)
            await asyncio.sleep(0.02)

    with pytest.raises(ResolveError):
        await use_for_six_seconds()


@on_a_name_server({NAME: {"A": ["127.0.0.1"], "AAAA": ["::1"]}})
async def test_a_family_that_gets_no_answer_costs_a_moment_only(server, resolver):
    server.silent = {"AAAA"}

    began = time.monotonic()
    assert texts(await resolver.addresses(NAME)) == ["127.0.0.1"]
    assert time.monotonic() - began < 0.5

    server.silent = set()
    await until(lambda: texts(resolver.cached(NAME)) == ["::1", "127.0.0.1"], "the other family joins")


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}})
async def test_one_who_stops_waiting_does_not_stop_the_others(server, resolver):
    server.fall_silent()
    waiting = [asyncio.ensure_future(resolver.addresses(NAME)) for _ in range(3)]
    await until(lambda: server.asked[NAME, "A"] > 0)
    waiting[0].cancel()
    server.recover()

    assert texts(await waiting[1]) == texts(await waiting[2]) == ["127.0.0.1"]
    assert waiting[0].cancelled()


@on_a_name_server({NAME: {"A": ["127.0.0.1"]}})
async def test_closing_lets_go_of_those_who_wait(server, resolver):
    server.fall_silent()
    waiting = asyncio.ensure_future(resolver.addresses(NAME))
    await until(lambda: server.asked[NAME, "A"] > 0)
    resolver.close()

    with pytest.raises(ResolveError):
        await waiting


@on_a_name_server({})
async def test_addresses_and_the_hosts_file_need_no_name_server(server, resolver):
    assert resolver.cached("127.0.0.1") == ((V4, "127.0.0.1"),)
    assert resolver.cached("::1") == ((V6, "::1"),)
    assert resolver.cached("fe80::1%1") == ((V6, "fe80::1%1"),)
    assert "127.0.0.1" in texts(await resolver.addresses("localhost"))
    assert not server.asked


@pytest.mark.parametrize(
    "host", ["", "a..b", ".", "x" * 64, "x" * 64 + ".test", "a b", "a\0b", "\ud800", "é" * 200, "a\n"]
)
def test_what_is_no_name_is_an_error_at_once(host):
    async def main():
        with NameServer({}) as server, resolver_of(server) as resolver:
            began = time.monotonic()
            with pytest.raises(ResolveError):
                await resolver.addresses(host)
            assert time.monotonic() - began < 1

    run(main())


@on_a_name_server({"xn--bcher-kva.test": {"A": ["127.0.0.1"]}})
async def test_an_international_name_is_asked_for_in_its_ascii_form(server, resolver):
    assert texts(await resolver.addresses("bücher.test")) == ["127.0.0.1"]


@on_a_name_server({f"n{number}.test": {"A": ["127.0.0.1"]} for number in range(MAX_NAMES + 50)})
async def test_the_memory_for_names_is_bounded(server, resolver):
    for number in range(MAX_NAMES + 50):
        await resolver.addresses(f"n{number}.test")

    assert resolver.cached("n0.test") is None
    assert resolver.cached(f"n{MAX_NAMES + 49}.test") is not None
    assert len(resolver._entries) == MAX_NAMES
