"""What a reader raises when a text cannot become a tree. The door (document.py) turns it into a diagnostic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue

if TYPE_CHECKING:
    from microgate.toolkit.catalogue import Code

MAX_DEPTH = 200  # mappings and lists inside one another
MAX_NUMBER_DIGITS = 1000
MAX_VALUES = 2_000_000  # of one document, about 500 MB of memory


class Flaw(Exception):  # noqa: N818 - it never leaves this package, so it is no error of the project's tree
    """One flaw of a text: what it is, where (tree.place), and what to do."""

    def __init__(self, code: Code, message: str, place: int, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.hint = hint


def too_deep(place: int) -> Flaw:
    return Flaw(catalogue.TOO_DEEP, f"values are nested more than {MAX_DEPTH} deep", place)


def too_large(place: int) -> Flaw:
    return Flaw(catalogue.FILE_TOO_LARGE, f"the file holds more than {MAX_VALUES:,} values", place)
