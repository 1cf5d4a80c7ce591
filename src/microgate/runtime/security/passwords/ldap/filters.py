"""Search filters (RFC 4515) as templates: the text is read before a user's name is put in, so that no name can change its form.

`{user}` and `{dn}` stand for values; they are put in as bytes, never as text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microgate.runtime.security.passwords.ldap import ber

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 16

_ITEM = re.compile(
    r"(?P<name>[A-Za-z0-9.;-]+)(?P<rule>(?::dn)?(?::[A-Za-z0-9.-]+)?)(?P<sign>~=|>=|<=|:=|=)(?P<value>.*)", re.DOTALL
)
_PIECE = re.compile(r"\{(user|dn)\}|\\([0-9A-Fa-f]{2})|([^\\{}]+)")
_SIGNS = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}

# What a value is made of: bytes as they are, or the name of what is put in.
Value: TypeAlias = "tuple[bytes | str, ...]"


class FilterError(Exception):
    """A text is no filter; the message says why."""


class _Junction(NamedTuple):
    tag: int
    parts: tuple[Filter, ...]


class _Item(NamedTuple):
    tag: int
    name: bytes
    value: Value


class _Substrings(NamedTuple):
    name: bytes
    pieces: tuple[Value, ...]


class _Rule(NamedTuple):
    name: bytes
    rule: bytes
    with_dn: bool
    value: Value


Filter: TypeAlias = _Junction | _Item | _Substrings | _Rule


def parse(text: str) -> Filter:
    """The filter of a template; raises FilterError."""
    found, rest = _filter(text.strip(), 0)
    if rest:
        raise FilterError("something follows its last parenthesis")
    return found


def encode(found: Filter, values: Mapping[str, bytes]) -> bytes:
    """The filter in BER with these values put in."""
    if isinstance(found, _Junction):
        return ber.encode(found.tag, *(encode(part, values) for part in found.parts))
    if isinstance(found, _Substrings):
        return _encode_substrings(found, values)
    if isinstance(found, _Rule):
        parts = [ber.octets(found.rule, 0x81)] if found.rule else []
        parts += [ber.octets(found.name, 0x82), ber.octets(_put(found.value, values), 0x83)]
        return ber.encode(0xA9, *parts, ber.boolean(found.with_dn, 0x84))
    if found.tag == 0x87:
        return ber.octets(found.name, 0x87)
    return ber.encode(found.tag, ber.octets(found.name), ber.octets(_put(found.value, values)))


def _encode_substrings(found: _Substrings, values: Mapping[str, bytes]) -> bytes:
    last = len(found.pieces) - 1
    pieces = []
    for position, piece in enumerate(found.pieces):
        if piece:
            tag = 0x80 if position == 0 else 0x82 if position == last else 0x81
            pieces.append(ber.octets(_put(piece, values), tag))
    return ber.encode(0xA4, ber.octets(found.name), ber.encode(ber.SEQUENCE, *pieces))


def _put(value: Value, values: Mapping[str, bytes]) -> bytes:
    return b"".join(values[piece] if isinstance(piece, str) else piece for piece in value)


def _filter(text: str, depth: int) -> tuple[Filter, str]:
    if not text.startswith("(") or depth > MAX_DEPTH:
        raise FilterError("it does not stand in parentheses" if depth <= MAX_DEPTH else "it is nested too deep")
    kind = text[1:2]
    if kind in {"&", "|", "!"}:
        parts, rest = [], text[2:]
        while rest.startswith("("):
            part, rest = _filter(rest, depth + 1)
            parts.append(part)
        if not rest.startswith(")") or not parts or (kind == "!" and len(parts) > 1):
            raise FilterError(f"what follows `{kind}` is not complete")
        return _Junction({"&": 0xA0, "|": 0xA1, "!": 0xA2}[kind], tuple(parts)), rest[1:]
    end = text.find(")")
    if end < 0:
        raise FilterError("a parenthesis is not closed")
    return _item(text[1:end]), text[end + 1 :]


def _item(text: str) -> Filter:
    found = _ITEM.fullmatch(text)
    if found is None or (bool(found["rule"]) and found["sign"] != ":="):
        raise FilterError(f"`{text}` is no comparison")
    name, value = found["name"].encode(), found["value"]
    if found["sign"] == ":=":
        rule = found["rule"]
        with_dn = rule.startswith(":dn")
        return _Rule(name, rule.removeprefix(":dn").removeprefix(":").encode(), with_dn, _value(value))
    if found["sign"] == "=" and value == "*":
        return _Item(0x87, name, ())
    if found["sign"] == "=" and "*" in value:
        pieces = tuple(_value(piece) for piece in value.split("*"))
        if not any(pieces):
            raise FilterError(f"`{text}` has nothing between its stars")
        return _Substrings(name, pieces)
    return _Item(_SIGNS[found["sign"]], name, _value(value))


def _value(text: str) -> Value:
    pieces: list[bytes | str] = []
    position = 0
    while position < len(text):
        found = _PIECE.match(text, position)
        if found is None:
            raise FilterError(
                f"`{text}` has a brace or backslash that means nothing; write it as two hexadecimal digits"
            )
        name, digits, plain = found.groups()
        pieces.append(name or (bytes.fromhex(digits) if digits else plain.encode()))
        position = found.end()
    return tuple(pieces)
