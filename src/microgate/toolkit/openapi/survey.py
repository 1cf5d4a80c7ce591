"""A walk over whole documents for what must not pass in silence: extensions of ours where nobody reads them, and references
that lead nowhere, out of the project or to the network. The typed reading (description.py) sees only what it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from microgate.diagnostics import Report
from microgate.toolkit import catalogue
from microgate.toolkit.openapi import extensions
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.references import is_remote
from microgate.toolkit.openapi.tree import Mapping, Node, Scalar, Sequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Diagnostic
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
    """Walks the documents of a project, each once.

    An object may be read through a reference from a later document, so what stands in objects that nobody has read is
    kept until `finish`.
    """

    def __init__(self, references: References, report: Report) -> None:
        self._references = references
        self._report = report
        self._unread: dict[tuple[str, int], list[Diagnostic]] = {}

    def document(self, document: Document) -> None:
        """Walk one document: check its references, and note the extensions in it."""
        if document.root is None:
            return
        identifiers: set[str] = set()
        pending: list[_Trail] = []
        for trail in _walk(document.root, _ExtensionCheck(document, self._unread)):
            assert isinstance(trail.node, Mapping)
            for key in ("$id", "id"):
                value = getattr(trail.node.entries.get(key), "value", None)
                if isinstance(value, str):
                    identifiers.add(value.rstrip("#"))
            if "$ref" in trail.node.entries:
                pending.append(trail)
        for trail in pending:
            self._check_reference(document, trail, identifiers)

    def finish(self, extended: set[tuple[str, int]]) -> None:
        """Report the extensions of objects that nobody has read. `extended` are the documents and places of the others."""
        for place, diagnostics in self._unread.items():
            if place not in extended:
                for diagnostic in diagnostics:
                    self._report.add(diagnostic)

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
        # Published descriptions have dangling references among parts that nobody asks for.
        missing = catalogue.REFERENCE_MISSING if _of_operation(trail) else catalogue.UNUSED_REFERENCE_MISSING
        self._references.target(_cursor(document, _Trail(trail, node, "$ref")), missing)


class _ExtensionCheck:
    """What is to be said about extensions of ours in a node, should nobody read them."""

    def __init__(self, document: Document, unread: dict[tuple[str, int], list[Diagnostic]]) -> None:
        self._document = document
        self._unread = unread

    def __call__(self, trail: _Trail, key: str, value: Node) -> None:
        if not key.lower().startswith(extensions.OWN_PREFIXES):
            return
        member = _cursor(self._document, _Trail(trail, value, key))
        report = Report()
        if key in extensions.KEYS:
            extensions.report_misplaced(key, member, _level(trail), report)
        else:
            extensions.report_unknown(key, member, report)
        self._unread.setdefault((self._document.name, trail.node.place), []).extend(report.diagnostics)


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


def _of_operation(trail: _Trail) -> bool:
    """Whether a node stands below `paths`, not among the parts that a document only keeps."""
    while trail.parent is not None and trail.parent.parent is not None:
        trail = trail.parent
    return trail.key == "paths"


def _level(trail: _Trail) -> str:
    """What a user calls the object in which a misplaced key stands."""
    if trail.key.startswith("/"):
        return "path item"
    if trail.key.isdigit() and trail.parent is not None and isinstance(trail.parent.node, Sequence):
        return f"item of `{trail.parent.key}`"
    return f"object under `{trail.key}`" if trail.key else "shared file"


def _cursor(document: Document, trail: _Trail) -> Cursor:
    parent = None if trail.parent is None else _cursor(document, trail.parent)
    return Cursor(document, trail.node, parent, trail.key)
