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
    # A search in a string costs a tenth of one in bytes, which takes the pattern for a number first.
    text = path.decode("latin-1")
    return not ("%" in text or "//" in text or "/." in text or ";" in text or "\\" in text)


def normal_forms(path: bytes) -> list[NormalForm]:
    """The readings of a path: decoded once, backslash as slash, cut at a decoded "?", "#" or NUL, without matrix parameters.

    There are two where slashes are doubled among dots, as some merge them before they resolve dots and some after.
    """
    decoded = _END.split(unquote_to_bytes(path), 1)[0].replace(b"\\", b"/")
    segments = [segment.partition(b";")[0] for segment in decoded.split(b"/")[1:]]
    merged = [segment for segment in segments if segment]
    forms = [_resolve(merged)]
    if forms[0].has_dots and len(merged) != len(segments):
        forms.append(_resolve(segments))
    return forms


def _resolve(segments: list[bytes]) -> NormalForm:
    lowest = len(segments)
    if b".." not in segments and b"." not in segments:
        return NormalForm(b"/" + b"/".join(segments), lowest, has_dots=False)
    kept: list[bytes] = []
    above = 0  # how far the dots have climbed above the root
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
            else:
                above += 1
            lowest = min(lowest, len(kept) - above)
        elif segment != b".":
            kept.append(segment)
    return NormalForm(b"/" + b"/".join(filter(None, kept)), lowest, has_dots=True)
