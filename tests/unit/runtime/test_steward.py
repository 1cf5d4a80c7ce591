"""The steward keeps jobs running: one that fails is started anew, later and later, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from microgate.runtime import steward
from microgate.runtime.control import Drain
from microgate.runtime.local_channel import LocalSwitchboard
from microgate.runtime.steward import Steward

if TYPE_CHECKING:
    import pytest

    from microgate.runtime.control import Hub


def test_a_job_that_fails_is_started_anew_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(steward, "RETRY_SECONDS", 0.001)

    async def scenario() -> None:
        switchboard = LocalSwitchboard(asyncio.get_running_loop())
        kept = Steward(switchboard)
        starts: list[int] = []
        heard: list[str] = []
        recovered = asyncio.Event()

        async def shaky(hub: Hub) -> None:
            starts.append(1)
            hub.subscribe(Drain, lambda *_: heard.append("shaky"))
            if len(starts) < 4:
                raise ValueError("no luck")
            recovered.set()
            await asyncio.Event().wait()

        async def steady(hub: Hub) -> None:
            hub.subscribe(Drain, lambda *_: heard.append("steady"))
            await asyncio.Event().wait()

        await kept.start([shaky, steady])
        async with asyncio.timeout(5):
            await recovered.wait()
        kept.begin_drain()
        assert sorted(heard) == ["shaky", "steady"]
        await kept.stop()

    asyncio.run(scenario())
    assert caplog.text.count("a job of the steward failed") == 3


def test_stopping_lets_jobs_write_what_they_hold_but_not_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(steward, "CLOSING_SECONDS", 0.05)
    written: list[str] = []

    async def writing(hub: Hub) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            written.append("last lines")

    async def hanging(hub: Hub) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if written.count("again"):
                    raise
                written.append("again")

    async def scenario() -> None:
        kept = Steward(LocalSwitchboard(asyncio.get_running_loop()))
        await kept.start([writing, hanging])
        await kept.stop()

    asyncio.run(scenario())
    assert "last lines" in written
