"""What a backend that decodes, resolves dots or merges slashes would take a path for.

Only the router asks, and only to refuse a path that would mean another resource with other protection there; what is
matched and forwarded is always the path as it came. Whatever a client sends costs searches in C, and a loop that is bounded.
"""

from __future__ import annotations

import re
from string import hexdigits
from typing import NamedTuple

# More dot segments than any honest client sends.
MAX_DOT_SEGMENTS = 32

_BYTES = {f"%{high}{low}".encode(): bytes.fromhex(high + low) for high in hexdigits for low in hexdigits}
_ENCODED = re.compile(rb"%[0-9A-Fa-f]{2}")
_END = re.compile(rb"[?#\0]")
_MATRIX = re.compile(rb";[^/]*")
_SLASHES = re.compile(rb"/{2,}")
_DOT_SEGMENT = re.compile(rb"/\.{1,2}(?=/|\Z)")


class NormalForm(NamedTuple):
    """A path as others may read it. `lowest` is the least depth its dots climb to, None where there are no dots."""

    path: bytes
    lowest: int | None


def is_plain(path: bytes) -> bool:
    """True where no reader can see another path than the one that stands there."""
    # A search in a string costs a tenth of one in bytes, which takes the pattern for a number first.
    text = path.decode("latin-1")
    return not ("%" in text or "//" in text or "/." in text or ";" in text or "\\" in text)


def normal_forms(path: bytes) -> list[NormalForm] | None:
    """The readings of a path: decoded once, backslash as slash, cut at a decoded "?", "#" or NUL, without matrix parameters.

    There are two where slashes are doubled among dots, as some merge them before they resolve dots and some after.
    None for a path that nobody should read: too many dots, or dots that climb above the root.
    """
    decoded = _ENCODED.sub(_decode, path) if "%" in path.decode("latin-1") else path
    spelt = _MATRIX.sub(b"", _END.split(decoded, 1)[0].replace(b"\\", b"/"))
    merged = _SLASHES.sub(b"/", spelt)
    dots = len(_DOT_SEGMENT.findall(merged))
    if not dots:
        return [NormalForm(merged, None)]
    if dots > MAX_DOT_SEGMENTS:
        return None
    forms = []
    for text in {merged, spelt}:
        form = _resolve(text)
        if form is None:
            return None
        forms.append(form)
    return forms


def _decode(triplet: re.Match[bytes]) -> bytes:
    return _BYTES[triplet[0]]


def _resolve(path: bytes) -> NormalForm | None:
    kept: list[bytes] = []
    lowest = path.count(b"/")
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            if not kept:
                return None
            kept.pop()
            lowest = min(lowest, len(kept))
        elif segment != b".":
            kept.append(segment)
    return NormalForm(b"/" + b"/".join(filter(None, kept)), lowest)
