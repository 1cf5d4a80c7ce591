"""How a setting is declared: the parent of all sections and the note that each key carries.

A section is a struct, a key is a field, and the key's name in the file is the field's encoded name, which may hold dots.
The reader, the rules and the reference page work from these notes alone; nothing else lists keys.
"""

import enum
from typing import NamedTuple

import msgspec


class Section(msgspec.Struct, frozen=True, rename="camel"):
    """A table of micro-gw.conf. Fields without a default make sense only in arrays of tables."""


class Home(enum.Enum):
    """What this version does with a key."""

    ACTED_ON = "acted on"
    LATER = "known, without effect yet"  # warns once where it is not at its default
    REFUSED = "restricts, without effect yet"  # refuses the start where it is not at its default


class Note(NamedTuple):
    """What is known about a key beside its type and default."""

    description: str
    home: Home = Home.ACTED_ON
    low: float | None = None
    high: float | None = None
    secret: bool = False
    switch: bool = False  # False turns the whole table off, so its other keys need no warning
    harmless: tuple[str, ...] = ()  # values that a key without effect may have without a word


def acts(
    description: str, *, low: float | None = None, high: float | None = None, secret: bool = False, switch: bool = False
) -> Note:
    return Note(description, Home.ACTED_ON, low, high, secret, switch)


def later(description: str, *, low: float | None = None, secret: bool = False, switch: bool = False) -> Note:
    return Note(description, Home.LATER, low, None, secret, switch)


def restricts(
    description: str, *, low: float | None = None, switch: bool = False, harmless: tuple[str, ...] = ()
) -> Note:
    return Note(description, Home.REFUSED, low, switch=switch, harmless=harmless)
