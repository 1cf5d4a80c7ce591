"""Reads `x-wso2-cors` (WSO2 §3.5) and what `x-microgate-cors` adds to it. Which combinations make no sense is checked by a rule
of the compiler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import FIELD_NAME

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.openapi.values import Reader

ANY = ("*",)
ADDITION_KEYS = ("expose-headers", "max-age")
MAX_AGE_SECONDS = 86_400 * 365
# A serialised origin (RFC 6454 §6.2): scheme, host, and a port where it is not the scheme's own.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_METHOD = re.compile(r"[A-Z][A-Z-]{0,30}|\*")


@dataclass
class CorsRules:
    """Who may call from a page; None where a list is absent."""

    origins: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    headers: tuple[str, ...] | None = None
    credentials: bool = False


@dataclass
class CorsAdditions:
    """What the block of 3.x has no words for; -1 leaves the age out of answers."""

    expose_headers: tuple[str, ...] = ()
    max_age_s: int = -1


def _spellings(kebab: str) -> tuple[str, str, str]:
    first, *others = kebab.split("-")
    return kebab, kebab.replace("-", "_"), first + "".join(part.title() for part in others)


_WORDS = {
    spelling: word
    for word in ("origins", "headers", "methods", "credentials")
    for spelling in _spellings(f"access-control-allow-{word}")
}
_ENABLED = _spellings("cors-configuration-enabled")


def read(cursor: Cursor, reader: Reader) -> CorsRules | None:
    """The block, in any of its three spellings."""
    if not cursor.is_mapping:
        reader.wrong(cursor, "a mapping", "write `{access-control-allow-origins: [https://app.example]}`")
        return None
    if not reader.mapping(cursor, [*_WORDS, _ENABLED[2], _ENABLED[0], _ENABLED[1]]):
        return None
    found = CorsRules()
    first: dict[str, str] = {}
    for name, member in cursor.members():
        if name in _ENABLED:
            _read_enabled(member, reader)
        elif name in _WORDS:
            word = _WORDS[name]
            if word in first:
                message = f"`{name}` says again what `{first[word]}` says"
                reader.report.add(
                    member.key_spot.diagnostic(catalogue.EXTENSION_VALUE, message, "remove one of the two")
                )
            first.setdefault(word, name)
            _read_word(found, word, member, reader)
    return found


def _read_enabled(member: Cursor, reader: Reader) -> None:
    """Under 3.x the block itself enables CORS, whatever this key says."""
    if reader.boolean(member) is False:
        message = f"`{member.key}: false` has no effect: the block enables CORS"
        hint = "remove the block to leave CORS to the backend"
        reader.report.add(member.key_spot.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, hint))


def _read_word(found: CorsRules, word: str, member: Cursor, reader: Reader) -> None:
    if word == "credentials":
        found.credentials = bool(reader.boolean(member))
    elif word == "origins":
        found.origins = tuple(dict.fromkeys(text for item in _items(member, reader) if (text := _origin(item, reader))))
    elif word == "methods":
        found.methods = tuple(dict.fromkeys(text for item in _items(member, reader) if (text := _method(item, reader))))
    else:
        found.headers = tuple(dict.fromkeys(text for item in _items(member, reader) if (text := _header(item, reader))))


def _items(member: Cursor, reader: Reader) -> list[Cursor]:
    """The items of a list that may be empty, as tools write it."""
    return list(member.items()) if member.is_list else reader.items(member)


def _origin(item: Cursor, reader: Reader) -> str | None:
    text = reader.text(item)
    if text is None or text in ("*", "null"):
        return text
    origin = text.lower()
    if _ORIGIN.fullmatch(origin):
        return origin
    hint = "an origin has no path and no final slash, as in `https://app.example` or `http://localhost:3000`"
    reader.wrong(item, "an origin or `*`", hint)
    return None


def _method(item: Cursor, reader: Reader) -> str | None:
    text = reader.text(item)
    if text is None or _METHOD.fullmatch(text.upper()):
        return None if text is None else text.upper()
    reader.wrong(item, "a method or `*`")
    return None


def _header(item: Cursor, reader: Reader) -> str | None:
    text = reader.text(item)
    if text is None or FIELD_NAME.fullmatch(text):
        return text
    reader.wrong(item, "the name of a header")
    return None


def read_additions(cursor: Cursor, reader: Reader) -> CorsAdditions | None:
    """`x-microgate-cors`."""
    if not reader.mapping(cursor, ADDITION_KEYS):
        return None
    names, age = (cursor.get(key) for key in ADDITION_KEYS)
    found = CorsAdditions()
    if names is not None:
        texts = [_header(item, reader) for item in reader.items(names)]
        found.expose_headers = tuple(dict.fromkeys(text for text in texts if text is not None))
    if age is not None:
        seconds = reader.integer(age)
        if seconds is not None and seconds > MAX_AGE_SECONDS:
            reader.wrong(age, f"a number of seconds, {MAX_AGE_SECONDS} or less")
        found.max_age_s = -1 if seconds is None else seconds
    if names is None and age is None:
        reader.wrong(
            cursor, "a mapping with " + " or ".join(f"`{shown(key)}`" for key in ADDITION_KEYS), found="an empty one"
        )
    return found
