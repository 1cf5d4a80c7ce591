"""Following `$ref`: within a document, and to other files of the project. A reference to the network is never fetched,
one that leads out of the project never opened; each is a diagnostic, once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from microgate.diagnostics import Severity
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.tree import Mapping, Node, Sequence, shown

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.folder import Folder

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


class References:
    """Follows the references of one project and remembers which ones it has complained about."""

    def __init__(self, folder: Folder, report: Report) -> None:
        self._folder = folder
        self._report = report
        self._reported: dict[tuple[str, int], Severity] = {}

    def follow(self, cursor: Cursor) -> Cursor | None:
        """Where a value's `$ref` leads, through any chain; the value itself if it has none; None after a diagnostic."""
        seen: set[int] = set()
        at: Cursor | None = cursor
        while at is not None:
            reference = at.get("$ref")
            if reference is None or reference.text is None:
                return at
            if id(at.node) in seen:
                self._complain(reference, catalogue.REFERENCE_LOOP, "the reference leads back to itself")
                return None
            seen.add(id(at.node))
            at = self.target(reference)
        return None

    def target(self, reference: Cursor, missing: catalogue.Code = catalogue.REFERENCE_MISSING) -> Cursor | None:
        """What one `$ref` (a cursor on its text) names; None after a diagnostic, `missing` where it names nothing."""
        text = reference.text or ""
        address, _, fragment = text.partition("#")
        document = reference.document
        if address and address != own_address(reference):
            path = self._file(reference, address, missing)
            if path is None:
                return None
            if path.resolve() != document.path.resolve():
                found = self._folder.shared(path, self._report)
                if found is None:
                    return None
                document = found
        if document.root is None:
            return None
        if fragment and not fragment.startswith("/"):
            self._complain(reference, missing, f"`{shown(text)}` is not a JSON pointer")
            return None
        return self._point(reference, Cursor(document, document.root), fragment, missing)

    def _file(self, reference: Cursor, address: str, missing: catalogue.Code) -> Path | None:
        """The project's file that the address of a reference names; None after a diagnostic."""
        if is_remote(address):
            hint = "copy the file into the project and refer to it by its path"
            message = f"`{shown(address)}` is not fetched: references lead to files of the project only"
            self._complain(reference, catalogue.REFERENCE_REMOTE, message, hint)
            return None
        name = unquote(address)
        path = reference.document.path.parent / name
        try:
            inside = "\0" not in name and self._folder.contains(path)
            exists = inside and path.is_file()
        except (OSError, RuntimeError, ValueError):
            inside, exists = True, False
        if not inside:
            message = f"`{shown(address)}` leads out of the project"
            self._complain(reference, catalogue.REFERENCE_OUTSIDE, message, "copy the file into the project")
            return None
        if not exists:
            self._complain(reference, missing, f"there is no file `{shown(address)}`")
            return None
        return path

    def _point(self, reference: Cursor, root: Cursor, pointer: str, missing: catalogue.Code) -> Cursor | None:
        at = root
        for part in pointer.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            node = child(at.node, key)
            if node is None:
                message = f"`{shown(reference.text or '')}` names nothing: there is no `{shown(key)}`"
                self._complain(reference, missing, message)
                return None
            at = Cursor(root.document, node, at, key)
        return at

    def _complain(self, reference: Cursor, code: catalogue.Code, message: str, hint: str = "") -> None:
        key = (reference.document.name, reference.node.place)
        # What an operation turns out to need is an error, also where it was a warning before.
        if self._reported.get(key) in (code.severity, Severity.ERROR):
            return
        self._reported[key] = code.severity
        self._report.add(reference.spot.diagnostic(code, message, hint))


def is_remote(address: str) -> bool:
    """Whether an address is more than a path."""
    return bool(_SCHEME.match(address))


def child(node: Node, key: str) -> Node | None:
    """The member or item of a node that one part of a pointer names."""
    if isinstance(node, Mapping):
        return node.entries.get(key)
    if isinstance(node, Sequence) and _INDEX.fullmatch(key) and int(key) < len(node.items):
        return node.items[int(key)]
    return None


def own_address(cursor: Cursor) -> str | None:
    """The address that OpenAPI 3.2's `$self` gives a document."""
    root = cursor.document.root
    own = root.entries.get("$self") if isinstance(root, Mapping) else None
    value = getattr(own, "value", None)
    return value.partition("#")[0] if isinstance(value, str) else None
