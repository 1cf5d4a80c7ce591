"""Who listens on a port: the answer that spares a user the search when a start fails.

Only as much as the system lets us see; called by listeners.py once something has gone wrong.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"


def find_holder(port: int, proc: Path = Path("/proc")) -> str:
    """`pid 123 (nginx)`, or "" where it cannot be found out."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    if not inodes:
        return ""
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                if _target(descriptor) in inodes:
                    name = (process / "comm").read_text(errors="replace").strip()
                    return f"pid {process.name} ({name})"
    return ""


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - the target is `socket:[…]`, not a path
    except OSError:
        return ""


def _inodes(port: int, proc: Path) -> list[str]:
    """Socket inodes that listen on a port, of /proc/net/tcp and tcp6 (columns: slot, local, remote, state … inode)."""
    found: list[str] = []
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (proc / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found
