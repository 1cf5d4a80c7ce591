"""The bodies of JMS MapMessages as the Java client of Qpid and of WSO2's broker writes them: `jms/map-message`.

What comes is anybody's bytes: whatever is no such body is None.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec

MAX_MESSAGE_BYTES = 1 << 20
# org.apache.qpid.typedmessage.TypedBytesCodes: the values' sizes; texts end with a zero byte.
_SIZES = {1: 1, 2: 1, 4: 2, 5: 2, 6: 4, 7: 8, 8: 4, 9: 8}
_BOOLEAN, _BYTES, _STRING, _NULL = 1, 3, 10, 11
_WHOLE_NUMBERS = (4, 6, 7)
_MAX_MEMBERS = 64


def read_members(body: bytes, headers: dict[str, object]) -> dict[str, Any] | None:
    """The members of a message in any of its forms: a JMS map, a JSON object, or headers without a body."""
    if len(body) > MAX_MESSAGE_BYTES:
        return None
    if is_map(body):
        return read_map(body)
    return read_object(body) if body.strip() else headers


def read_object(text: bytes) -> dict[str, Any] | None:
    """A JSON object."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def is_map(body: bytes) -> bool:
    """Whether it begins as a map does: with the count of members, of which there are less than millions."""
    return body[:1] == b"\0"


def read_map(body: bytes) -> dict[str, object] | None:
    """The members of a map: texts, whole numbers and truths; a member of another kind is None."""
    try:
        count = struct.unpack_from(">i", body)[0]
        position = 4
        found: dict[str, object] = {}
        if count > _MAX_MEMBERS:
            return None
        for _ in range(count):
            name, position = _read_text(body, position)
            found[name], position = _read_member(body, position)
    except (struct.error, IndexError, ValueError):
        return None
    return found


def _read_text(body: bytes, position: int) -> tuple[str, int]:
    end = body.index(b"\0", position)
    return body[position:end].decode(errors="replace"), end + 1


def _read_member(body: bytes, position: int) -> tuple[object, int]:
    kind = body[position]
    position += 1
    if kind == _STRING:
        return _read_text(body, position)
    if kind == _NULL:
        return None, position
    if kind == _BYTES:
        return None, position + 4 + max(0, struct.unpack_from(">i", body, position)[0])
    size = _SIZES.get(kind)
    if size is None:
        raise ValueError(kind)
    end = position + size
    if len(body) < end:
        raise ValueError(kind)
    if kind == _BOOLEAN:
        return body[position] != 0, end
    if kind in _WHOLE_NUMBERS:
        return int.from_bytes(body[position:end], "big", signed=True), end
    return None, end
