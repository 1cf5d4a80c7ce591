"""The compact tree of a document: mappings, sequences and scalars, each with its line and column.

The readers make it (yaml_reader.py, json_reader.py), cursors walk it. A YAML alias is the same node in several places, so
a tree may be a lattice; it has no cycle.
"""

from __future__ import annotations

from array import array

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import Flaw

COLUMN_BITS = 26  # columns and lines up to the largest file we read
_COLUMN_MASK = (1 << COLUMN_BITS) - 1

Value = str | int | float | bool | None


def place(line: int, column: int) -> int:
    """A line and a column, both from 0, in one small integer."""
    return line << COLUMN_BITS | column


def line_and_column(at: int) -> tuple[int, int]:
    """Line and column of a place, both from 1."""
    return (at >> COLUMN_BITS) + 1, (at & _COLUMN_MASK) + 1


class Scalar:
    """A text, number, truth value or null."""

    __slots__ = ("place", "value")

    def __init__(self, value: Value, at: int) -> None:
        self.value = value
        self.place = at


class Sequence:
    __slots__ = ("items", "place")

    def __init__(self, at: int) -> None:
        self.items: list[Node] = []
        self.place = at


class Mapping:
    """Keys are text, whatever they were written as; `key_places` are in the order of `entries`."""

    __slots__ = ("entries", "key_places", "place")

    def __init__(self, at: int) -> None:
        self.entries: dict[str, Node] = {}
        self.key_places: array[int] = array("Q")
        self.place = at

    def key_place(self, key: str) -> int:
        """Where a key stands, for a message about the key itself."""
        for index, name in enumerate(self.entries):
            if name == key:
                return self.key_places[index]
        return self.place


Node = Scalar | Sequence | Mapping


def kind(node: Node) -> str:
    """What a node is, in the words of a message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a text" if isinstance(value, str) else "a number"


def duplicate_key(mapping: Mapping, key: str, at: int) -> Flaw:
    """What a reader raises for a key that stands in a mapping already."""
    first = line_and_column(mapping.key_place(key))[0]
    return Flaw(catalogue.DUPLICATE_KEY, f"the key `{shown(key)}` stands twice; first in line {first}", at)


def shown(text: str) -> str:
    """The text of a user in a message: one line, not too long."""
    clean = "".join(character if character.isprintable() else "?" for character in text[:80])
    return clean + "…" if len(text) > 80 else clean
