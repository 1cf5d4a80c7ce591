"""Memory that all processes of a crew see: a map made before the fork, which lives as long as one of them has it.

What stands in it is the business of the room that asked for it; locks there are none, every word has one writer.
"""

from __future__ import annotations

import mmap
import os


def make_region(name: str, size: int) -> mmap.mmap:
    """A zeroed region of `size` bytes; pages that nobody writes to cost nothing. `name` shows up in /proc/PID/maps."""
    if not hasattr(os, "memfd_create"):
        return mmap.mmap(-1, size)
    descriptor = os.memfd_create(f"microgate-{name}", os.MFD_CLOEXEC)
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)
