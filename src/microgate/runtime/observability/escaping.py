"""Values that clients and backends choose, made safe for one line of a log.

Whatever the bytes were, what comes out is printable ASCII without a line end: as a JSON string, or escaped as nginx does it for
the formats that people read and split. Used by the access log.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K", str, bytes)

# A longer value is cut, so that a line has a bound whatever the limits on heads are set to.
MAX_VALUE_BYTES = 4_096

_quote = msgspec.json.Encoder().encode

_CUT_MARK = "..."
_DELETE = b"\x7f"  # the one control character that JSON lets stand
_MEMO_ENTRIES = 1_024
_MEMO_KEY_LENGTH = 256
_UNSAFE_IN_PLAIN = re.compile(r"[^ !#-\[\]-~]")


def json_string(value: bytes) -> str:
    r"""The value as a JSON string with its quotes; bytes that are no UTF-8 become `\xff`, as text."""
    if value.isascii() and len(value) <= MAX_VALUE_BYTES and _DELETE not in value:
        return _quote(value.decode("ascii")).decode("ascii")
    quoted = json.dumps(_cut(value).decode("utf-8", "backslashreplace"))
    return quoted.replace("\x7f", "\\u007f")


def plain(value: bytes) -> str:
    r"""The value with `\xhh` for quotes, backslashes, control characters and all that is not ASCII; `-` if empty."""
    text = value.decode("latin-1")
    if len(text) > MAX_VALUE_BYTES:
        text = _cut(value).decode("latin-1")
    return _UNSAFE_IN_PLAIN.sub(_hexadecimal, text) or "-"


def plain_word(value: bytes) -> str:
    """As `plain`, for a value that stands between spaces."""
    return plain(value).replace(" ", "\\x20")


def json_text(value: str) -> str:
    """As `json_string`, for text of any origin."""
    return json_string(_encode(value))


def plain_text(value: str) -> str:
    """As `plain_word`, for text of any origin."""
    return plain_word(_encode(value))


def _encode(value: str) -> bytes:
    # A token's claims may hold lone surrogates; they end up as three escaped bytes.
    return value.encode("utf-8", "surrogatepass")


def _cut(value: bytes) -> bytes:
    return value if len(value) <= MAX_VALUE_BYTES else value[:MAX_VALUE_BYTES] + _CUT_MARK.encode()


def _hexadecimal(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


class Memo(dict[K, str], Generic[K]):
    """Escaped forms of values that come again and again; bounded, emptied when full."""

    def __init__(self, escape: Callable[[K], str]) -> None:
        super().__init__()
        self._escape: Callable[[K], str] = escape

    def __missing__(self, value: K) -> str:
        escaped = self._escape(value)
        if len(value) <= _MEMO_KEY_LENGTH:
            if len(self) >= _MEMO_ENTRIES:
                self.clear()
            self[value] = escaped
        return escaped
