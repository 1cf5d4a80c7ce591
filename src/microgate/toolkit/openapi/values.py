"""Nodes to typed Python values, with a diagnostic and None where the type is wrong. Used for extensions and policies; the
caller says which code the diagnostic has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microgate.diagnostics import Report
    from microgate.toolkit.catalogue import Code
    from microgate.toolkit.openapi.cursor import Cursor

MAX_INTEGER = 2**53  # what JSON writers keep exactly
FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110 §5.6.2


class Reader:
    """Reads values of one kind of file; `code` is what a wrong value is reported as."""

    def __init__(self, report: Report, code: Code = catalogue.EXTENSION_VALUE) -> None:
        self.report = report
        self._code = code

    def missing(self, cursor: Cursor, key: str, hint: str = "") -> None:
        """Report a key that a mapping must have."""
        self.report.add(cursor.spot.diagnostic(self._code, f"`{key}` is missing in `{name_of(cursor)}`", hint))

    def wrong(self, cursor: Cursor, expected: str, hint: str = "", found: str = "") -> None:
        """Report a value that is not what it must be; `found` says what it is, where its kind is not enough."""
        found = found or cursor.kind
        if cursor.text is not None:
            found = f"`{shown(cursor.text)}`"
        elif cursor.value is not None and found == "a number":
            found = f"`{cursor.value}`"
        self.report.add(
            cursor.spot.diagnostic(self._code, f"`{name_of(cursor)}` must be {expected}, not {found}", hint)
        )

    def text(self, cursor: Cursor) -> str | None:
        """A text that is not empty and holds no control characters."""
        value = cursor.text
        if value is None:
            hint = "put it in quotes" if cursor.kind in ("a number", "true", "false") else ""
            self.wrong(cursor, "a text", hint)
        elif not value.strip():
            self.wrong(cursor, "a text that is not empty")
        elif any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
            self.wrong(cursor, "a text without control characters")
        else:
            return value
        return None

    def boolean(self, cursor: Cursor) -> bool | None:
        value = cursor.value
        if isinstance(value, bool):
            return value
        word = (cursor.text or "").lower()
        meant = "true" if word in ("yes", "on", "y", "1") else "false" if word in ("no", "off", "n", "0") else ""
        hint = f"write `{meant}`" if meant else ""
        self.wrong(cursor, "true or false", "remove the quotes" if word in ("true", "false") else hint)
        return None

    def integer(self, cursor: Cursor, low: int = 0) -> int | None:
        """A whole number from `low` on."""
        value = cursor.value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= MAX_INTEGER:
            return value
        is_larger = isinstance(value, int) and value > MAX_INTEGER
        self.wrong(
            cursor, f"a whole number from {low} to {MAX_INTEGER}" if is_larger else f"a whole number, {low} or more"
        )
        return None

    def number(self, cursor: Cursor, low: float = 0, high: float = MAX_INTEGER) -> float | None:
        value = cursor.value
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.wrong(cursor, f"a number from {low:g} to {high:g}" if high < MAX_INTEGER else f"a number, {low:g} or more")
        return None

    def choice(self, cursor: Cursor, choices: Iterable[str], hint: str = "") -> str | None:
        """One of some words, whatever their case; as the words are spelt in `choices`."""
        words = {word.lower(): word for word in choices}
        value = cursor.text
        if value is not None and value.lower() in words:
            return words[value.lower()]
        names = [f"`{word}`" for word in words.values()]
        expected = names[0] if len(names) == 1 else " or ".join((", ".join(names[:-1]), names[-1]))
        self.wrong(cursor, expected, hint or did_you_mean(value or "", words.values()))
        return None

    def items(self, cursor: Cursor) -> list[Cursor]:
        """The items of a list that must have some."""
        if cursor.is_list:
            found = list(cursor.items())
            if found:
                return found
            self.wrong(cursor, "a list with at least one item", found="an empty one")
            return []
        hint = f"write `[{shown(cursor.text)}]`" if cursor.text else ""
        self.wrong(cursor, "a list", hint)
        return []

    def mapping(self, cursor: Cursor, known: Iterable[str]) -> bool:
        """Whether a value is a mapping; its unknown keys are reported."""
        if not cursor.is_mapping:
            self.wrong(cursor, "a mapping")
            return False
        names = list(known)
        for key, member in cursor.members():
            if key not in names:
                hint = did_you_mean(key, names, f"known keys: {', '.join(names)}")
                message = f"unknown key `{shown(key)}` in `{name_of(cursor)}`"
                self.report.add(member.key_spot.diagnostic(catalogue.UNKNOWN_PROPERTY, message, hint))
        return True


_NUMBER = re.compile(r"[0-9]+")


def name_of(cursor: Cursor) -> str:
    """What a user calls a value: its key, or `key[index]` in a list."""
    if _NUMBER.fullmatch(cursor.key) and cursor.parent is not None and cursor.parent.is_list:
        return f"{name_of(cursor.parent)}[{cursor.key}]"
    return shown(cursor.key)
