"""The loop of a process: what fails in callbacks is told once, whatever its number."""

from __future__ import annotations

import asyncio
import logging

import pytest

from microgate.runtime.event_loop import Complaints, run


def fail(error: Exception) -> None:
    raise error


async def failing(error: Exception, times: int) -> None:
    for _ in range(times):
        asyncio.get_running_loop().call_soon(fail, error)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_the_same_failure_is_told_once(caplog: pytest.LogCaptureFixture):
    run(failing(ValueError("broken"), 50))
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.ERROR
    assert caplog.records[0].exc_info is not None


def test_failures_of_the_system_come_without_a_traceback(caplog: pytest.LogCaptureFixture):
    run(failing(OSError(24, "Too many open files"), 3))
    assert len(caplog.records) == 1
    assert "Too many open files" in caplog.text
    assert caplog.records[0].exc_info is None


def test_different_failures_are_told_each_and_again_after_a_while(caplog: pytest.LogCaptureFixture):
    class Clock(asyncio.SelectorEventLoop):
        now = 0.0

        def time(self) -> float:
            return self.now

    loop = Clock()
    complaints = Complaints()
    for now, message in ((0.0, "a"), (1.0, "b"), (2.0, "a"), (11.0, "a")):
        loop.now = now
        complaints.tell(loop, {"message": message})
    loop.close()
    assert [record.getMessage() for record in caplog.records] == ["a", "b", "a"]


def test_what_the_life_raises_is_raised():
    with pytest.raises(KeyError):
        run(raising())


async def raising() -> None:
    raise KeyError("x")
