"""The part of BER that LDAP uses (RFC 4511 §5.1): definite lengths and tags of one byte. What a server sends is bounded and
checked.
"""

from __future__ import annotations

INTEGER = 0x02
OCTETS = 0x04
BOOLEAN = 0x01
ENUMERATED = 0x0A
SEQUENCE = 0x30
SET = 0x31


class BerError(Exception):
    """Bytes that are no BER of LDAP; the message says why."""


def encode(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    return encode(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes, tag: int = OCTETS) -> bytes:
    return encode(tag, value)


def boolean(value: bool, tag: int = BOOLEAN) -> bytes:
    return encode(tag, b"\xff" if value else b"\0")


def length_of_length(first: int) -> int:
    """How many bytes of length follow the first one; raises BerError."""
    if first < 0x80:
        return 0
    if not 0x81 <= first <= 0x84:
        raise BerError("a length is indefinite or too long")
    return first & 0x7F


class Elements:
    """The elements that stand one after another in `content`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._content)

    def next(self, tag: int | None = None) -> tuple[int, bytes]:
        """The tag and content of the next element, which must have `tag` where one is given; raises BerError."""
        content, start = self._content, self._position
        if len(content) < start + 2:
            raise BerError("an element is cut short")
        found, first = content[start], content[start + 1]
        start += 2
        more = length_of_length(first)
        size = int.from_bytes(content[start : start + more], "big") if more else first
        start += more
        if start + size > len(content):
            raise BerError("an element is longer than what holds it")
        if tag is not None and found != tag:
            raise BerError("an element is of another type")
        self._position = start + size
        return found, content[start : start + size]

    def octets(self, tag: int = OCTETS) -> bytes:
        return self.next(tag)[1]

    def integer(self, tag: int = INTEGER) -> int:
        content = self.next(tag)[1]
        if not 1 <= len(content) <= 8:
            raise BerError("a number has a wrong length")
        return int.from_bytes(content, "big", signed=True)
