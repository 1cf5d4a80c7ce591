"""The steward's end of the access log: the one place that writes lines to standard output or to a file.

A pipe that nobody reads or a disk that hangs holds up a thread of its own, never the steward's loop; what finds no room
in the bounded queue is dropped and counted. A file that was renamed or removed is opened anew within moments.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import threading
from collections import deque
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import SettingsError
from microgate.runtime.observability.log_gate import LogGate

if TYPE_CHECKING:
    from microgate.runtime.control import LogLines
    from microgate.runtime.observability.metrics import Metrics

MAX_QUEUED_BYTES = 4_194_304
GATHER_SECONDS = 0.02  # between two writes, so that the thread is not woken for each batch
GATHER_BYTES = 262_144

_STANDARD_OUTPUT = 1
_FILE_MODE = 0o640
_NO_WAITING = getattr(os, "O_NONBLOCK", 0)  # not everywhere
_LOOK_SECONDS = 0.25
_POLL_MS = 100

log = logging.getLogger("microgate.access_log")


def prove(path: str) -> None:
    """Raise SettingsError if the access log cannot be written to `path`; for the start, before anything serves."""
    if path == "-":
        return
    try:
        # A named pipe without a reader is fine, and must not hold up the start.
        os.close(_open(path, _NO_WAITING))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return
        raise SettingsError(f"`accessLogConfig.path`: cannot write `{path}`: {_reason(error)}") from error


def _open(path: str, flags: int = 0) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | flags, _FILE_MODE)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class LogWriter:
    """Takes batches of whole lines from the loop and writes them in their order from a thread."""

    def __init__(
        self, path: str, metrics: Metrics, gate: LogGate | None = None, max_queued_bytes: int = MAX_QUEUED_BYTES
    ) -> None:
        """`gate` is shared with other writers to the same place, if there may be any."""
        self._path = path
        self._gate = gate or LogGate()
        self._max_queued_bytes = max_queued_bytes
        self._count_dropped = metrics.counter("access_log_lines_dropped")
        self._changed = threading.Condition()  # guards all of the following that both sides touch
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._in_hand = b""  # of which `_written` bytes are written
        self._closing = False
        self._idle = False  # the thread waits for lines
        # The thread's own.
        self._file = -1
        self._looked_at = 0.0
        self._written = 0
        self._lost = 0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put(self, slot: int, message: LogLines) -> None:
        """Queue a worker's lines, or drop and count them; the worker has counted those in `dropped` itself."""
        data = message.data
        with self._changed:
            if self._queued_bytes + len(data) > self._max_queued_bytes:
                self._count_dropped(data.count(b"\n"))
                return
            self._queue.append(data)
            self._queued_bytes += len(data)
            if self._idle:
                self._idle = False
                self._changed.notify()

    async def close(self, patience_seconds: float = 0.3) -> None:
        """Write what is queued and end; lines that cannot be written in time are lost and counted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, patience_seconds)
        with self._changed:
            self._drop(self._in_hand[self._written :] + b"".join(self._queue))
            self._in_hand = b""
            self._queue.clear()

    # The thread.

    def _run(self) -> None:
        while (data := self._next()) is not None:
            try:
                with self._gate.entered():
                    self._write_all(data)
            except OSError as error:
                self._on_failure(data, error)
            else:
                self._on_success()
        if self._file >= 0:
            os.close(self._file)

    def _next(self) -> bytes | None:
        with self._changed:
            self._in_hand = b""
            self._written = 0
            if not self._closing:
                self._changed.wait(GATHER_SECONDS)  # nothing but the end interrupts it
            while not self._queue and not self._closing:
                self._idle = True
                self._changed.wait()
            if not self._queue:
                return None
            data = self._queue.popleft()
            while self._queue and len(data) + len(self._queue[0]) <= GATHER_BYTES:
                data += self._queue.popleft()
            self._queued_bytes -= len(data)
            self._in_hand = data
            return data

    def _write_all(self, data: bytes) -> None:
        """Write a batch; what somebody left torn before, by an error or by dying, stays a line of its own."""
        target = self._target()
        if self._gate.is_torn(self._path):
            self._write(target, b"\n")
        self._gate.set_torn(self._path, torn=True)
        try:
            while self._written < len(data):
                self._written += self._write(target, data[self._written :])
        finally:
            whole = not self._written or data[: self._written].endswith(b"\n")
            self._gate.set_torn(self._path, torn=not whole)

    def _target(self) -> int:
        """The descriptor to write to; a file is opened anew where its name means another file by now."""
        if self._path == "-":
            return _STANDARD_OUTPUT
        now = monotonic()
        if self._file >= 0 and now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            if self._was_renamed():
                os.close(self._file)
                self._file = -1
                self._gate.set_torn(self._path, torn=False)
        if self._file < 0:
            self._file = _open(self._path)
            self._looked_at = now
        return self._file

    def _was_renamed(self) -> bool:
        ours = os.fstat(self._file)
        try:
            theirs = Path(self._path).stat()
        except FileNotFoundError:
            return True
        return (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)

    @staticmethod
    def _write(target: int, data: bytes) -> int:
        while True:
            try:
                return os.write(target, data)
            except BlockingIOError:
                # Somebody who shares the pipe has made it non-blocking.
                waiter = select.poll()
                waiter.register(target, select.POLLOUT)
                waiter.poll(_POLL_MS)

    def _on_failure(self, data: bytes, error: OSError) -> None:
        rest = data[self._written :]
        with self._changed:
            if self._in_hand:  # else it was given up when closing, and counted then
                self._drop(rest)
            self._in_hand = b""
        self._lost += rest.count(b"\n")
        if not self._failing:
            self._failing = True
            name = "standard output" if self._path == "-" else self._path
            log.error(
                "the access log cannot be written to %s: %s; lines are dropped until it can", name, _reason(error)
            )

    def _on_success(self) -> None:
        if self._failing:
            log.warning("the access log is written again, %d lines were lost", self._lost)
            self._failing = False
            self._lost = 0

    def _drop(self, data: bytes) -> None:
        self._count_dropped(data.count(b"\n"))
