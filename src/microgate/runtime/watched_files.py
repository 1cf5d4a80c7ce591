"""Notices that files have changed, for the reload while developing: polled by the supervisor, which has no loop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = "dict[str, tuple[int, int, int]]"

IGNORED_FOLDERS = frozenset({"target", "__pycache__", "node_modules"})
MAX_FILES = 10_000  # enough for a project; a bound for a folder that was named by mistake


class WatchedFiles:
    """Files, and folders with all below them. What a build writes, and what begins with a dot, is not looked at."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._settled = self._seen = self._look()

    def changed(self) -> bool:
        """Whether something has changed since the last True; a change counts once it holds still between two calls."""
        now = self._look()
        before, self._seen = self._seen, now
        if now == self._settled or now != before:
            return False
        self._settled = now
        return True

    def _look(self) -> Stamp:
        found: Stamp = {}
        pending = [os.fspath(path) for path in self._paths]
        while pending and len(found) < MAX_FILES:
            path = pending.pop()
            try:
                status = Path(path).stat()
                if os.path.isdir(path):  # noqa: PTH112 - called for every file of a project several times a second
                    pending.extend(entry.path for entry in os.scandir(path) if _counts(entry.name))
                else:
                    found[path] = (status.st_mtime_ns, status.st_ino, status.st_size)
            except OSError:
                continue
        return found


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in IGNORED_FOLDERS
