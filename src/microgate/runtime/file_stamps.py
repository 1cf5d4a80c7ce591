"""Whether files have changed, told by what the file system says of them: for whoever follows certificates and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Stamp: TypeAlias = "tuple[tuple[int, int, int], ...]"


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Equal while none of the files changes; one that is not there has zeros."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_mtime_ns, status.st_ino, status.st_size))
    return tuple(found)
