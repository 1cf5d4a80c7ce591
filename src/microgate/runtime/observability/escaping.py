"""Values that clients and backends choose, made safe for one line of a log.

Whatever the bytes were, what comes out is ASCII without a line end or other control characters: as a JSON string, or
escaped as nginx does it for the formats that people read and split. Used by the access log.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

K = TypeVar("K", str, bytes)

# A longer value is cut, so that a line has a bound whatever the limits on heads are set to.
MAX_VALUE_BYTES = 4_096

_CUT_MARK = b"..."
_MEMO_ENTRIES = 1_024
_MEMO_KEY_LENGTH = 256
_UNSAFE_IN_PLAIN = re.compile(r"[^ !#-\[\]-~]")


def json_string(value: bytes) -> str:
    r"""The value as a JSON string in ASCII, with its quotes; bytes that are no UTF-8 become `\xff`, as text."""
    if len(value) > MAX_VALUE_BYTES:
        value = _cut(value)
    return encode_basestring_ascii(value.decode("utf-8", "backslashreplace"))


def plain(value: bytes) -> str:
    r"""The value with `\xhh` for quotes, backslashes, control characters and all that is not ASCII; `-` if empty."""
    if len(value) > MAX_VALUE_BYTES:
        value = _cut(value)
    text = value.decode("latin-1") or "-"
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNSAFE_IN_PLAIN.sub(_hexadecimal, text)


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
    return value[:MAX_VALUE_BYTES] + _CUT_MARK


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
