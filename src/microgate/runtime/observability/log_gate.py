"""One writer of the access log at a time: while a new version takes over, the stewards of both write to the same place.

A file takes a batch in one piece, but a pipe tears what is longer than its atomic size, so each batch is written under a lock
that the kernel takes back from a process that dies. The supervisor makes the gate before any fork; log_writer.py uses it.
"""

from __future__ import annotations

import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTES = mmap.PAGESIZE


class LogGate:
    """Shared by all stewards of a supervisor; each of them has one thread that enters."""

    def __init__(self) -> None:
        self._descriptor = -1
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("microgate-log-gate", os.MFD_CLOEXEC)
            os.ftruncate(self._descriptor, _BYTES)
        self._map = mmap.mmap(self._descriptor, _BYTES)
        self._cells = memoryview(self._map).cast("q")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Wait until no other process writes. The lock belongs to the process, not to the thread."""
        if self._descriptor < 0:
            yield  # without memory files there is but one process
            return
        import fcntl

        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def is_torn(self, path: str) -> bool:
        """Whether the last one who wrote there may have left a line without its end, because it died or failed."""
        return bool(self._cells[0] == _mark(path))

    def set_torn(self, path: str, *, torn: bool) -> None:
        self._cells[0] = _mark(path) if torn else 0


def _mark(path: str) -> int:
    return crc32(path.encode()) + 1
