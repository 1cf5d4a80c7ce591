"""Brokers that are none, or none of RabbitMQ's kind: what a stranger's bytes on the line may do to who listens."""

from __future__ import annotations

import asyncio
import struct

import pytest

from microgate.runtime.messaging import brokers
from microgate.runtime.messaging.addresses import addresses
from microgate.runtime.messaging.brokers import BrokerError, Brokers, Topic

CONNECTION_OPEN_OK = struct.pack(">HHB", 10, 41, 0)
TUNE = struct.pack(">HHHIH", 10, 30, 0, 0, 0)
CHANNEL_OPEN_OK = struct.pack(">HHI", 20, 11, 0)
CHANNEL_OPEN = struct.pack(">HH", 20, 10)
CHANNEL_QOS = struct.pack(">HH", 60, 10)


def frame(payload, channel=0, kind=1):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def start(properties=b""):
    tables = struct.pack(">HHBBI", 10, 10, 0, 9, len(properties)) + properties
    return frame(tables + b"\0\0\0\5PLAIN\0\0\0\5en_US")


class Silent:
    async def take(self, body, headers):
        raise AssertionError((body, headers))

    def listening(self):
        raise AssertionError("nothing was subscribed to")

    def down(self, why):
        raise AssertionError(why)


async def follow(first, answers=()):
    """What was sent to a broker that says `first` and its `answers`, and what the listener was told in the end."""
    heard = bytearray()

    async def serve(reader, writer):
        heard.extend(await reader.read(8))
        writer.write(first)
        waiting = list(answers)
        while data := await reader.read(4096):
            heard.extend(data)
            while waiting and waiting[0][0] in heard:
                writer.write(waiting.pop(0)[1])
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        place = addresses("url", f"amqp://guest:not-to-be-told@127.0.0.1:{port}/")
        with pytest.raises(BrokerError) as raised:
            await asyncio.wait_for(Brokers().follow(Topic(place, "topic"), Silent(), lambda: None), 10)
    return bytes(heard), str(raised.value)


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(1_200_000),
        b"AMQP\x01\x01\x00\x0a",
        frame(b"\0"),
        frame(b""),
        frame(struct.pack(">HH", 99, 99)),
        frame(b"zz", kind=9),
        start(b"\xff"),
        start(b"\x05abc"),
        start(b"\x04nameZ\0\0\0\0"),
        start() + frame(TUNE) + frame(b"\0"),
    ],
)
def test_bytes_that_are_no_amqp_are_told_in_one_line(first, monkeypatch):
    monkeypatch.setattr(brokers, "CONNECT_SECONDS", 0.3)
    _, told = asyncio.run(follow(first))
    assert told
    assert "\n" not in told
    assert "not-to-be-told" not in told


def test_a_broker_that_tells_of_no_capabilities_is_listened_to(monkeypatch):
    """As WSO2's does: its properties are a name and a version."""
    monkeypatch.setattr(brokers, "CONNECT_SECONDS", 2.0)
    answers = [
        (b"PLAIN", frame(TUNE) + frame(CONNECTION_OPEN_OK)),
        (CHANNEL_OPEN, frame(CHANNEL_OPEN_OK, channel=1)),
    ]
    heard, told = asyncio.run(follow(start(b"\x07productS\0\0\0\5Andes"), answers))
    assert CHANNEL_QOS in heard
    assert told == "it gives no answer in time"
