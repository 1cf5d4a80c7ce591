"""Signals of the supervisor: noted by handlers that do nothing else, and taken by its wait.

The descriptor becomes readable when there is one, so that one poll waits for signals and children alike.
"""

from __future__ import annotations

import signal
import socket
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# SIGHUP is not known everywhere.
HANDLED = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


class Signals:
    """Takes over the handled signals of this process until `restore`."""

    def __init__(self) -> None:
        self._noted: deque[int] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._before: dict[int, Any] = {number: signal.signal(number, self._note) for number in HANDLED}
        # Whoever started us may have it ignored, and then nobody could wait for children.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted.append(number)

    def take(self) -> list[int]:
        """What has come since the last call, in order."""
        with suppress(BlockingIOError):
            while self._reader.recv(4_096):
                pass
        taken = []
        while self._noted:
            taken.append(self._noted.popleft())
        return taken

    @contextmanager
    def blocked(self) -> Iterator[None]:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def forget(self) -> None:
        """In a child: ignore what the supervisor decides about (see lifeline.py)."""
        signal.set_wakeup_fd(-1)
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN)
        self._reader.close()
        self._writer.close()

    def restore(self) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()
