"""Waiting for a condition with a deadline: the only way a test lets time pass."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

PAUSE_SECONDS = 0.005
_never = threading.Event()


def wait_until(condition: Callable[[], T], what: str = "", *, seconds: float = 5.0) -> T:
    """The first true value of `condition`; an AssertionError that says `what` did not come true in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        _never.wait(PAUSE_SECONDS)


def holds_for(condition: Callable[[], object], what: str = "", *, seconds: float = 0.2) -> None:
    """That `condition` stays true for a while: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"did not stay true: {what or condition}"
        _never.wait(PAUSE_SECONDS)
