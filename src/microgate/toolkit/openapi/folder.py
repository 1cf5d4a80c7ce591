"""The files of one project: found, read once, never outside its folder, never fetched. Every open of a user's
description goes through here, so that the plan can list what it was made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit.openapi.document import Document, read

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.diagnostics import Report

DESCRIPTION_SUFFIXES = (".yaml", ".yml", ".json")
DESCRIPTION_FOLDERS = ("api_definitions", "gen/api_definitions")


class Folder:
    """A project's folder, or the folder of a bare description."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.digests: dict[str, str] = {}
        self._shared: dict[Path, Document | None] = {}

    def descriptions(self) -> list[Path]:
        """The descriptions of a project, links that lead nowhere among them, sorted by name, folder by folder."""
        found: list[Path] = []
        for name in DESCRIPTION_FOLDERS:
            found.extend(
                path
                for path in sorted((self.root / name).rglob("*"))
                if path.suffix.lower() in DESCRIPTION_SUFFIXES
                and not path.name.startswith(".")
                and (path.is_file() or (path.is_symlink() and not path.exists()))
            )
        return found

    def name(self, path: Path) -> str:
        """A path relative to the project, with `/`."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def contains(self, path: Path) -> bool:
        """Whether a path, links followed, lies in the project."""
        return path.resolve().is_relative_to(self.root)

    def read(self, path: Path, report: Report, *, may_be_empty: bool = False) -> Document | None:
        """A file, read anew: the caller drops it when it is bound."""
        document = read(path, self.name(path), report, may_be_empty=may_be_empty)
        if document is not None:
            self.digests[document.name] = document.digest
        return document

    def shared_documents(self) -> list[Document]:
        """The files that descriptions referred to so far."""
        return [document for document in self._shared.values() if document is not None]

    def shared(self, path: Path, report: Report) -> Document | None:
        """A file that descriptions refer to: read once, kept."""
        path = path.resolve()
        if path not in self._shared:
            self._shared[path] = self.read(path, report)
        return self._shared[path]
