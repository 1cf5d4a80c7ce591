"""Values of policies.yaml by their keys: numbers within bounds, units, sizes, words. What is wrong is reported and replaced by
something that is allowed, so that one mistake is one message; a project with an error makes no plan.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import Reader, name_of
from microgate.toolkit.project.policies import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.catalogue import Code
    from microgate.toolkit.openapi.cursor import Cursor, Spot

_SIZE = re.compile(r"([0-9]{1,15}) ?(B|[kKMGT]i?B)", re.ASCII)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
_SHORT_UNITS = {
    **dict.fromkeys(("s", "second(s)"), "sec"),
    **dict.fromkeys(("m", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hours"), "hour"),
    **dict.fromkeys(("d", "days"), "day"),
    **dict.fromkeys(("w", "weeks"), "week"),
    "months": "month",
    **dict.fromkeys(("y", "years"), "year"),
}


class Values(Reader):
    """Reads members of the mappings that keys.py declares; `shape` is the name of the mapping there."""

    def __init__(self, report: Report) -> None:
        super().__init__(report, catalogue.POLICY_VALUE)
        self._last = len(report.diagnostics) + keys.MAX_FINDINGS
        self._is_full = False

    def is_full(self, at: Spot) -> bool:
        """Whether so much was found that nobody reads more; says so once."""
        if len(self.report.diagnostics) >= self._last and not self._is_full:
            self._is_full = True
            message = f"more than {keys.MAX_FINDINGS} mistakes: the file is not read from here on"
            self.report.add(at.diagnostic(catalogue.POLICY_VALUE, message, "mend those above first"))
        return self._is_full

    def say(self, cursor: Cursor, code: Code, message: str, hint: str = "") -> None:
        self.report.add(cursor.spot.diagnostic(code, message, hint))

    def opened(self, cursor: Cursor, shape: str) -> bool:
        """Whether it is a mapping; keys that are unknown, or have no value, are reported."""
        known = keys.names(shape)
        if not cursor.is_mapping:
            self.wrong(cursor, "a mapping")
            return False
        for name, member in self.members(cursor):
            if name not in known:
                self._unknown(name, member, cursor, known)
            elif member.kind == "null":
                self.wrong(member, "given a value", "write one, or remove the key", "left empty")
        return True

    def members(self, cursor: Cursor) -> Iterator[tuple[str, Cursor]]:
        """The members of a mapping, as long as there is not too much to say about them."""
        for name, member in cursor.members():
            if self.is_full(member.key_spot):
                return
            yield name, member

    def _unknown(self, name: str, member: Cursor, cursor: Cursor, known: tuple[str, ...]) -> None:
        hint = did_you_mean(name, known, f"known keys: {', '.join(known)}")
        message = f"unknown key `{shown(name)}` in `{name_of(cursor)}`"
        self.report.add(member.key_spot.diagnostic(catalogue.UNKNOWN_PROPERTY, message, hint))

    def count(self, cursor: Cursor, shape: str, name: str) -> int:
        """A whole number within the bounds of its key."""
        bounds = keys.key(shape, name)
        return self.within(cursor, bounds.low, bounds.high)

    def within(self, cursor: Cursor, low: int, high: int) -> int:
        value = cursor.value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        hint = "remove the quotes" if cursor.text is not None and cursor.text.isdigit() else ""
        if value == 0 and cursor.key == "count":
            hint = f"0 was no limit under 3.x, for which there is `{keys.UNLIMITED}`; `{keys.BLOCKS}` shuts callers out"
        self.wrong(cursor, f"a whole number from {low} to {high}", hint)
        return low

    def word(self, cursor: Cursor, shape: str, name: str) -> str:
        """One of the words of a key, the default where nothing is said."""
        declared = keys.key(shape, name)
        member = cursor.get(name)
        return (None if member is None else self.choice(member, declared.words)) or declared.default

    def flag(self, cursor: Cursor, name: str, *, otherwise: bool = False) -> bool:
        member = cursor.get(name)
        found = None if member is None else self.boolean(member)
        return otherwise if found is None else found

    def unit_s(self, cursor: Cursor) -> int:
        """The seconds of a unit, whatever its case."""
        word = (cursor.text or "").lower()
        word = keys.OTHER_UNITS.get(word, word)
        if word in keys.SECONDS:
            return keys.SECONDS[word]
        *units, last = (f"`{unit}`" for unit in keys.SECONDS)
        meant = _SHORT_UNITS.get(word)
        hint = f"did you mean `{meant}`?" if meant else did_you_mean(word, [*keys.SECONDS, *keys.OTHER_UNITS])
        self.wrong(cursor, f"{', '.join(units)} or {last}", hint)
        return keys.MINUTE

    def window_s(self, cursor: Cursor, otherwise: int = 0) -> int:
        """The seconds of `unitTime` and `timeUnit`, which stand together; `otherwise` where neither does."""
        amount, unit = cursor.get("unitTime"), cursor.get("timeUnit")
        if amount is None and unit is None:
            return otherwise
        if amount is None or unit is None:
            absent, example = ("unitTime", "1") if amount is None else ("timeUnit", "min")
            self.missing(cursor, absent, f"add `{absent}: {example}`")
            return keys.MINUTE
        length = self.within(amount, 1, keys.MAX_WINDOW_S)
        seconds = length * self.unit_s(unit)
        if seconds > keys.MAX_WINDOW_S and length < keys.MAX_WINDOW_S:
            self.say(amount, catalogue.POLICY_VALUE, "the window is longer than 10 years", "choose a shorter one")
            return keys.MINUTE
        return seconds

    def size_bytes(self, cursor: Cursor) -> int:
        """A number of bytes: `1000`, `10MB` (millions), `10MiB` (of 1024 times 1024)."""
        value = cursor.value
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            unit = match[2].upper()
            base = 1024 if "I" in unit else 1000
            value = int(match[1]) * base ** _POWERS.get(unit[0], 0)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= keys.MAX_BYTES:
            return value
        self.wrong(cursor, "a number of bytes from 1 to 8TiB", "write `10MB`, `10MiB` or `10000000`")
        return 1

    def entries(self, cursor: Cursor, what: str, most: int) -> Iterator[tuple[str, Cursor]]:
        """The members of a list of mappings with one key each, names that stand twice with them; a list too long is cut off."""
        if not cursor.is_list:
            self.wrong(cursor, f"a list of {what}", "write each as `- name: {…}`")
        for item in self.first(cursor.items(), what, most):
            members = list(item.members())
            if len(members) == 1:
                yield members[0]
                continue
            hint = "indent what belongs to it deeper than its name" if len(members) > 1 else ""
            self.wrong(
                item, "a mapping with one key, a name", hint, f"one with {len(members)}" if item.is_mapping else ""
            )

    def first(self, items: Iterable[Cursor], what: str, most: int) -> Iterable[Cursor]:
        """The items up to a bound, and a message about what is beyond it."""
        for number, item in enumerate(items):
            if number >= most:
                self.say(item, catalogue.POLICY_VALUE, f"there are more than {most:,} {what}")
                return
            if self.is_full(item.spot):
                return
            yield item

    def name_is_good(self, name: str, cursor: Cursor) -> bool:
        """A name labels metrics and logs, and shared memory is keyed by it."""
        if name.strip() and name.isprintable() and len(name) <= keys.MAX_NAME:
            return True
        message = f"`{shown(name)}` is no name: it must be printable text of at most {keys.MAX_NAME} characters"
        self.report.add(cursor.key_spot.diagnostic(catalogue.POLICY_VALUE, message))
        return False
