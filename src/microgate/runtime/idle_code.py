"""Code that ran once, at the start, let go of by the supervisor once it has only to wait.

What was read of the libraries - to compile and import, to make TLS contexts, to prove keys - stays mapped and counts as memory
of the process, several megabytes. The system maps it again from the files when it is needed. Linux; elsewhere nothing is done.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_DONTNEED = 4  # MADV_DONTNEED of Linux


def let_go() -> None:
    """Unmap the pages of libraries' code. They are never written to, so nothing is lost by it."""
    if sys.platform != "linux":
        return
    import ctypes

    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, rights, _, _, _, *name = line.split(maxsplit=5)
            if rights == "r-xp" and name and ".so" in name[0]:
                begin, end = (int(text, 16) for text in span.split("-"))
                madvise(begin, end - begin, _DONTNEED)
