"""A walk over whole documents for what must not pass in silence: extensions of ours where nobody reads them, and references
that lead nowhere, out of the project or to the network. The typed reading (description.py) sees only what it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microgate.toolkit.openapi import extensions
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.references import is_remote
from microgate.toolkit.openapi.tree import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.document import Document
    from microgate.toolkit.openapi.references import References

# Mappings whose keys are names that users choose; in the first group `x-` keys are extensions nevertheless.
_PATTERNED = frozenset({"paths", "responses", "callbacks", "webhooks", "scopes"})
_NAMES = _PATTERNED | frozenset(
    {"properties", "patternProperties", "dependentSchemas", "definitions", "$defs", "schemas", "parameters", "headers"}
    | {"requestBodies", "securitySchemes", "securityDefinitions", "links", "pathItems", "mediaTypes", "content"}
    | {"encoding", "variables", "mapping", "additionalOperations"}
)
# Values that are data of the user's: what looks like a reference or extension in them is none.
_DATA = frozenset({"example", "examples", "default", "enum", "const", "value", "dataValue"})


class _Trail(NamedTuple):
    """How a node was reached, as a chain, so that a pointer costs nothing until it is needed."""

    parent: _Trail | None
    node: Node
    key: str


class Survey:
    """Walks the documents of a project, each once."""

    def __init__(self, references: References, report: Report) -> None:
        self._references = references
        self._report = report

    def document(self, document: Document, extended: set[tuple[str, int]]) -> None:
        """Walk one document. `extended` names the nodes whose extensions were read."""
        if document.root is None:
            return
        identifiers: set[str] = set()
        pending: list[tuple[Document, _Trail]] = []
        for trail in _walk(document.root, self._extension_check(document, extended)):
            assert isinstance(trail.node, Mapping)
            for key in ("$id", "id"):
                value = getattr(trail.node.entries.get(key), "value", None)
                if isinstance(value, str):
                    identifiers.add(value.rstrip("#"))
            if "$ref" in trail.node.entries:
                pending.append((document, trail))
        for _, trail in pending:
            self._check_reference(document, trail, identifiers)

    def _check_reference(self, document: Document, trail: _Trail, identifiers: set[str]) -> None:
        assert isinstance(trail.node, Mapping)
        node = trail.node.entries["$ref"]
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return
        text = node.value
        if text.startswith("#") and not text.startswith("#/"):
            return  # a JSON Schema anchor, or the document itself
        address = text.partition("#")[0]
        if is_remote(address) and address in identifiers:
            return
        self._references.target(_cursor(document, _Trail(trail, node, "$ref")))

    def _extension_check(self, document: Document, extended: set[tuple[str, int]]) -> _ExtensionCheck:
        return _ExtensionCheck(document, extended, self._report)


class _ExtensionCheck:
    """Complains about extensions of ours in nodes whose extensions nobody read."""

    def __init__(self, document: Document, extended: set[tuple[str, int]], report: Report) -> None:
        self._document = document
        self._extended = extended
        self._report = report

    def __call__(self, trail: _Trail, key: str, value: Node) -> None:
        if (self._document.name, id(trail.node)) in self._extended or not key.lower().startswith(
            extensions.OWN_PREFIXES
        ):
            return
        member = _cursor(self._document, _Trail(trail, value, key))
        if key in extensions.KEYS:
            extensions.report_misplaced(key, member, _level(trail), self._report)
        else:
            extensions.report_unknown(key, member, self._report)


def _walk(root: Node, extension: _ExtensionCheck) -> Iterator[_Trail]:
    """Every mapping of a tree once, outside of data and extensions; `extension` is told of the `x-` keys."""
    seen: set[int] = set()
    stack: list[tuple[_Trail, str]] = [(_Trail(None, root, ""), "")]
    while stack:
        trail, names = stack.pop()
        node = trail.node
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Sequence):
            stack.extend(
                (_Trail(trail, item, str(index)), "")
                for index, item in reversed(list(enumerate(node.items)))
                if not isinstance(item, Scalar)
            )
            continue
        assert isinstance(node, Mapping)
        if not names:
            yield trail
        children: list[tuple[_Trail, str]] = []
        for key, value in node.entries.items():
            if key[:2] in ("x-", "X-") and (not names or names in _PATTERNED):
                extension(trail, key, value)
            elif type(value) is not Scalar and (names or key not in _DATA):
                below = key if not names and key in _NAMES and isinstance(value, Mapping) else ""
                children.append((_Trail(trail, value, key), below))
        children.reverse()
        stack.extend(children)


def _level(trail: _Trail) -> str:
    """What a user calls the object in which a misplaced key stands."""
    if trail.key.startswith("/"):
        return "path item"
    return f"object under `{trail.key}`" if trail.key else "shared file"


def _cursor(document: Document, trail: _Trail) -> Cursor:
    parent = None if trail.parent is None else _cursor(document, trail.parent)
    return Cursor(document, trail.node, parent, trail.key)
