"""A strict, slow reading of HTTP/1 request bytes after RFC 9112: what a gateway may take a client's bytes for, and no more.

It shares no code and no parser with the gateway. `read_requests` stops where the bytes stop being valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_START = re.compile(rb"([A-Z_-]+) +([\x21-\x7e]+) +HTTP/1\.([01])")  # more blanks may be forgiven (§3)
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


@dataclass
class Allowed:
    """One request. `complete` is False where the bytes end inside its body, or stop being valid there."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False
    last: bool = False


def read_requests(data: bytes) -> list[Allowed]:
    """All requests that begin in the bytes, in order."""
    found: list[Allowed] = []
    position = 0
    while True:
        while data[position : position + 1] in (b"\r", b"\n"):
            position += 1  # empty lines before a request are forgiven (§2.2)
        end = data.find(b"\r\n\r\n", position)
        request = _read_head(data[position:end].split(b"\r\n")) if end >= 0 else None
        if request is None:
            return found
        found.append(request)
        position = _read_body(request, data, end + 4)
        if not request.complete or request.last:
            return found


def _read_head(lines: list[bytes]) -> Allowed | None:
    start = _START.fullmatch(lines[0])
    fields = [_FIELD.fullmatch(line) for line in lines[1:]]
    if start is None or not all(fields):
        return None
    pairs = [(field[1].decode().lower(), field[2].decode("latin-1")) for field in fields if field is not None]
    request = Allowed(start[1].decode(), start[2].decode(), pairs)
    values = _by_name(pairs)
    minor = int(start[3])
    if len(values.get("host", [])) != 1 and (minor or "host" in values):
        return None
    lengths, codings = values.get("content-length", []), values.get("transfer-encoding", [])
    if len(lengths) + len(codings) > 1 or not all(re.fullmatch("[0-9]+", length) for length in lengths):
        return None
    if codings and (codings[0].lower() != "chunked" or not minor):
        return None
    options = {option.strip(" \t").lower() for value in values.get("connection", []) for option in value.split(",")}
    request.last = "close" in options or (not minor and "keep-alive" not in options)
    return request


def _by_name(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _read_body(request: Allowed, data: bytes, position: int) -> int:
    values = _by_name(request.fields)
    if "transfer-encoding" in values:
        return _read_chunks(request, data, position)
    size = int(values.get("content-length", ["0"])[0])
    request.body = data[position : position + size]
    request.complete = len(request.body) == size
    return position + size


def _read_chunks(request: Allowed, data: bytes, position: int) -> int:
    while True:
        end = data.find(b"\r\n", position)
        line = _CHUNK.fullmatch(data[position:end]) if end >= 0 else None
        if line is None:
            return position
        size, position = int(line[1], 16), end + 2
        if size == 0:
            return _read_trailers(request, data, position)
        request.body += data[position : position + size]
        position += size
        if data[position : position + 2] != b"\r\n":
            return position
        position += 2


def _read_trailers(request: Allowed, data: bytes, position: int) -> int:
    while (end := data.find(b"\r\n", position)) >= 0:
        line, position = data[position:end], end + 2
        if not line:
            request.complete = True
            break
        if _FIELD.fullmatch(line) is None:
            break
    return position
