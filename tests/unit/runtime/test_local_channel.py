"""Steward and worker in one process: the same rules as over sockets."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from microgate.runtime.control import Drain, Greeting, LogLines
from microgate.runtime.local_channel import MAX_WAITING, LocalSwitchboard

if TYPE_CHECKING:
    import pytest


def test_messages_arrive_in_a_later_turn_of_the_loop():
    async def scenario() -> None:
        switchboard = LocalSwitchboard(asyncio.get_running_loop())
        channel = switchboard.channel()
        switchboard.connect(channel)
        heard: list[object] = []
        switchboard.seat().subscribe(LogLines, lambda slot, message: heard.append((slot, message)))
        channel.subscribe(Greeting, heard.append)
        assert channel.send(LogLines(b"a\n"))
        assert switchboard.send(0, Greeting())
        assert heard == []
        await asyncio.sleep(0)
        assert heard == [(0, LogLines(b"a\n")), Greeting()]

    asyncio.run(scenario())


def test_what_finds_no_room_is_not_sent():
    async def scenario() -> None:
        switchboard = LocalSwitchboard(asyncio.get_running_loop())
        channel = switchboard.channel()
        heard: list[object] = []
        switchboard.seat().subscribe(LogLines, lambda _, message: heard.append(message))
        assert [channel.send(LogLines(b"")) for _ in range(MAX_WAITING + 1)] == [True] * MAX_WAITING + [False]
        switchboard.flush()
        assert len(heard) == MAX_WAITING
        assert channel.send(LogLines(b""))

    asyncio.run(scenario())


def test_a_broken_handler_harms_nobody_else(caplog: pytest.LogCaptureFixture):
    async def scenario() -> None:
        switchboard = LocalSwitchboard(asyncio.get_running_loop())
        channel = switchboard.channel()
        switchboard.connect(channel)
        heard: list[object] = []

        def broken(message: Drain) -> None:
            raise ValueError(message)

        channel.subscribe(Drain, broken)
        channel.subscribe(Drain, heard.append)
        switchboard.send(0, Drain())
        await asyncio.sleep(0)
        assert heard == [Drain()]

    asyncio.run(scenario())
    assert "was not handled" in caplog.text
