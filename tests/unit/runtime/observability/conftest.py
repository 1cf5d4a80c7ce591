"""A small plan, and exchanges as protocols would leave them, for the tests of observability."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest

from microgate.plan.model import Api, Operation, Plan
from microgate.runtime.control import MAX_BYTES, decode_for_steward, encode
from microgate.runtime.exchange import Consumer, Exchange


@pytest.fixture
def plan():
    operations = (Operation("getPet", "GET", "/pet/{id}"), Operation("addPet", "POST", "/pet"))
    api = Api("api_1", "Pets", "1.0", "/pets/1", "pets.yaml", operations)
    return Plan("shop", "0.1.0", (api,), (), digest="0123456789abcdef" * 4)


@pytest.fixture
def exchange_of():
    """Makes an exchange; `trusted` is about the peer, everything else are fields of the exchange."""

    def make(target=b"/pets/1/pet/7", *, trusted=False, consumer=None, lines=(), **fields):
        peer = SimpleNamespace(peer="192.0.2.7", scheme="https", trusted=trusted, forwarded=b"")
        exchange = Exchange(peer, "GET", target, list(lines))
        exchange.path = target.partition(b"?")[0]
        if consumer is not None:
            exchange.consumer = Consumer(consumer, "jwt")
        for name, value in fields.items():
            setattr(exchange, name, value)
        return exchange

    return make


class PairChannel:
    """A worker's end of a real SEQPACKET pair, as the workers have one; `received` is what the steward reads."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.theirs.setblocking(False)

    def send(self, message):
        try:
            self.ours.send(encode(message))
        except BlockingIOError:
            return False
        return True

    def received(self):
        found = []
        while True:
            try:
                found.append(decode_for_steward(self.theirs.recv(MAX_BYTES)))
            except BlockingIOError:
                return found

    def close(self):
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def channel_of():
    channels = []

    def make():
        channels.append(PairChannel())
        return channels[-1]

    yield make
    for channel in channels:
        channel.close()
