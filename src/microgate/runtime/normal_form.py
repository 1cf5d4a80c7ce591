"""What a backend that decodes, resolves dots or merges slashes would take a path for.

Only the router asks, and only to refuse a path that would mean another resource with other protection there; what is
matched and forwarded is always the path as it came.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_END = re.compile(rb"[?#\0]")


class NormalForm(NamedTuple):
    """A path as others may read it. `lowest` is the least depth its dots climbed to, below 0 for above the root."""

    path: bytes
    lowest: int
    has_dots: bool


def is_plain(path: bytes) -> bool:
    """True where no reader can see another path than the one that stands there."""
    return not (b"%" in path or b"//" in path or b"/." in path or b";" in path or b"\\" in path)


def normal_forms(path: bytes) -> set[NormalForm]:
    """The readings of a path: decoded once, backslash as slash, cut at a decoded "?", "#" or NUL, without matrix parameters.

    There are two where slashes are doubled, as some merge them before they resolve dots and some after.
    """
    decoded = _END.split(unquote_to_bytes(path), 1)[0].replace(b"\\", b"/")
    segments = [segment.partition(b";")[0] for segment in decoded.split(b"/")[1:]]
    return {_resolve([segment for segment in segments if segment]), _resolve(segments)}


def _resolve(segments: list[bytes]) -> NormalForm:
    kept: list[bytes] = []
    depth = 0
    lowest = len(segments)
    has_dots = False
    for segment in segments:
        if segment == b"..":
            has_dots = True
            depth -= 1
            lowest = min(lowest, depth)
            if kept:
                kept.pop()
                depth = len(kept)
        elif segment == b".":
            has_dots = True
        else:
            kept.append(segment)
            depth = len(kept)
    return NormalForm(b"/" + b"/".join(segment for segment in kept if segment), lowest, has_dots)
