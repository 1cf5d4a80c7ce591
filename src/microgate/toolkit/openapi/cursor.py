"""A value of a document and how it was reached: what passes walk trees with, and where their diagnostics point.

Cursors do not follow references; references.py does. A spot is what later passes keep: it does not hold the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from microgate.toolkit.openapi.tree import Mapping, Node, Scalar, Sequence, Value, kind, line_and_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Diagnostic
    from microgate.toolkit.catalogue import Code
    from microgate.toolkit.openapi.document import Document

T = TypeVar("T")


class Spot:
    """A place in a document that outlives its tree: for diagnostics of later passes."""

    __slots__ = ("document", "place", "pointer")

    def __init__(self, document: Document, place: int, pointer: str) -> None:
        self.document = document
        self.place = place
        self.pointer = pointer

    @property
    def where(self) -> str:
        """`file:line`, for messages that name a second place."""
        return f"{self.document.name}:{line_and_column(self.place)[0]}"

    @property
    def identity(self) -> str:
        """What no other place has, also where a whole document stands on one line."""
        return f"{self.document.name}:{self.place}"

    def diagnostic(self, code: Code, message: str, hint: str = "") -> Diagnostic:
        """A finding about what stands here."""
        return self.document.diagnostic(code, message, self.place, hint=hint, pointer=self.pointer)


@dataclass(frozen=True, slots=True)
class Located(Generic[T]):
    """A typed value and where it was written."""

    value: T
    at: Spot


class Cursor:
    """One node. `key` is the text or index under which `parent` holds it."""

    __slots__ = ("_key_place", "document", "key", "node", "parent")

    def __init__(
        self, document: Document, node: Node, parent: Cursor | None = None, key: str = "", key_place: int = -1
    ) -> None:
        self._key_place = key_place
        self.document = document
        self.node = node
        self.parent = parent
        self.key = key

    @property
    def value(self) -> Value:
        """The value of a scalar; None for anything else."""
        return self.node.value if isinstance(self.node, Scalar) else None

    @property
    def text(self) -> str | None:
        """The value where it is a text."""
        value = self.value
        return value if isinstance(value, str) else None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, Mapping)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, Sequence)

    @property
    def kind(self) -> str:
        return kind(self.node)

    @property
    def pointer(self) -> str:
        """The JSON pointer (RFC 6901) of this node in its document."""
        keys: list[str] = []
        at: Cursor | None = self
        while at is not None and at.parent is not None:
            keys.append(at.key.replace("~", "~0").replace("/", "~1"))
            at = at.parent
        return "".join("/" + key for key in reversed(keys))

    def get(self, key: str) -> Cursor | None:
        """A member of a mapping; None where there is none, or it is null."""
        if not isinstance(self.node, Mapping):
            return None
        found = self.node.entries.get(key)
        if found is None or (isinstance(found, Scalar) and found.value is None):
            return None
        return Cursor(self.document, found, self, key)

    def members(self) -> Iterator[tuple[str, Cursor]]:
        """The members of a mapping in their order; nothing for anything else."""
        if isinstance(self.node, Mapping):
            for (key, node), at in zip(self.node.entries.items(), self.node.key_places, strict=True):
                yield key, Cursor(self.document, node, self, key, at)

    def items(self) -> Iterator[Cursor]:
        """The items of a list; nothing for anything else."""
        if isinstance(self.node, Sequence):
            for index, node in enumerate(self.node.items):
                yield Cursor(self.document, node, self, str(index))

    def keys(self) -> list[str]:
        return list(self.node.entries) if isinstance(self.node, Mapping) else []

    @property
    def spot(self) -> Spot:
        """The place of this value, to keep."""
        return Spot(self.document, self.node.place, self.pointer)

    @property
    def key_spot(self) -> Spot:
        """The place of the key under which this value stands."""
        return Spot(self.document, self._key_place if self._key_place >= 0 else self._find_key(), self.pointer)

    def _find_key(self) -> int:
        if self.parent is not None and isinstance(self.parent.node, Mapping):
            return self.parent.node.key_place(self.key)
        return self.node.place
