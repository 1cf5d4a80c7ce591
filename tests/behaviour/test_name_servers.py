"""Case 37 with a whole gateway: a backend's name moves, its name servers fail, and come back; nobody starts anything anew.

The gateway asks a real name server of the test, which `resolver.nameServers` names. It keeps no connection, so each request needs
a new one.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from harness.backend import Backend, respond
from harness.descriptions import describe
from harness.dns import NameServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.process import GatewayProcess

NAME = "backend.test"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"
TTL_SECONDS = 1
FOLLOWS_SECONDS = TTL_SECONDS + 5
OUTAGE_SECONDS = 2.5  # more than the life of an answer
SLOWEST_SECONDS = 1.5  # one short wait for a name server that says nothing


class World:
    """Two backends on one port, a name server that knows either, and a gateway that knows their name alone."""

    def __init__(self, stack: ExitStack, gateway: Callable[..., GatewayProcess]) -> None:
        first = stack.enter_context(Backend(respond(b"first")))
        stack.enter_context(Backend(respond(b"second"), host=SECOND, port=first.port))
        self.names = stack.enter_context(NameServer({NAME: {"A": [FIRST]}}, ttl=TTL_SECONDS))
        self.gateway = gateway(
            describe(["/a"], backend=f"http://{NAME}:{first.port}"),
            settings=f'[resolver]\nnameServers = ["{self.names.address}"]\n'
            "[httpClients.poolConfig]\nmaxIdleConnections = 0\n",
        )

    def ask(self) -> tuple[int, bytes]:
        with self.gateway.connect() as client:
            answer = client.get("/a")
        return answer.status, answer.body

    def move(self, address: str) -> None:
        self.names.records[NAME] = {"A": [address]}

    def follow(self, body: bytes) -> None:
        """Ask until a backend answers, in the time that a moved name may take; there is an answer all the while."""
        begun = time.monotonic()
        while (got := self.ask()) != (200, body):
            assert got[0] == 200
            assert time.monotonic() - begun < FOLLOWS_SECONDS


@pytest.fixture
def world(gateway: Callable[..., GatewayProcess]) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(stack, gateway)


@pytest.mark.parametrize("outage", ["silent", "failing", "gone"])
def test_case_37_a_name_moves_outlives_its_name_server_and_is_followed_again(world: World, outage: str):
    assert world.ask() == (200, b"first")
    world.move(SECOND)
    world.follow(b"second")

    if outage == "gone":
        world.names.go_away()
    else:
        setattr(world.names, outage, {"A", "AAAA"})
    begun = time.monotonic()
    while (asked := time.monotonic()) - begun < OUTAGE_SECONDS:
        assert world.ask() == (200, b"second")
        assert time.monotonic() - asked < SLOWEST_SECONDS

    world.move(FIRST)
    if outage == "gone":
        world.names.come_back()
    world.names.recover()
    world.follow(b"first")


def test_case_37_a_name_that_was_never_known_is_502_until_its_name_server_is_back(world: World):
    world.names.failing = {"A", "AAAA"}
    status, body = world.ask()
    assert status == 502
    assert b"Traceback" not in body
    assert NAME in world.gateway.output

    world.names.recover()
    begun = time.monotonic()
    while world.ask() != (200, b"first"):
        assert time.monotonic() - begun < FOLLOWS_SECONDS
