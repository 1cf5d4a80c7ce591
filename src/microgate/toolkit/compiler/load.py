"""First pass: the files of a project become documents, one at a time; each is dropped by the caller when it is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.document import whole_file
from microgate.toolkit.openapi.folder import DESCRIPTION_FOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.document import Document
    from microgate.toolkit.openapi.folder import Folder


def load_project(folder: Folder, report: Report) -> Iterator[Document]:
    """The documents of all descriptions of a project, sorted by name."""
    paths = folder.descriptions()
    if not paths:
        hint = "put an OpenAPI description (.yaml, .yml or .json) into api_definitions"
        report.add(
            whole_file(catalogue.NOTHING_TO_BUILD, "there are no API descriptions", DESCRIPTION_FOLDERS[0], hint)
        )
    for path in paths:
        if not path.exists():
            message = "is a link that leads nowhere"
            report.add(whole_file(catalogue.FILE_UNREADABLE, message, folder.name(path), "remove it, or mend it"))
            continue
        if not folder.contains(path):
            message = "is a link that leads out of the project"
            report.add(whole_file(catalogue.REFERENCE_OUTSIDE, message, folder.name(path), "copy the file"))
            continue
        document = folder.read(path, report)
        if document is not None:
            yield document
