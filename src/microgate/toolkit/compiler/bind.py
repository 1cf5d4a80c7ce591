"""Second pass: a document becomes a typed description, and all of it is surveyed for what nobody would read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi import description
from microgate.toolkit.openapi.survey import Survey
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Diagnostic, Report
    from microgate.toolkit.openapi.description import Description
    from microgate.toolkit.openapi.document import Document
    from microgate.toolkit.openapi.folder import Folder
    from microgate.toolkit.openapi.references import References


class Binder:
    """Binds the descriptions of one project, then surveys the files they share."""

    def __init__(self, folder: Folder, references: References, report: Report) -> None:
        self._folder = folder
        self._references = references
        self._report = report
        self._survey = Survey(references, report)
        self._extended: set[tuple[str, int]] = set()
        self._surveyed: set[str] = set()
        self._others: list[Diagnostic] = []  # about files that are no descriptions

    def bind(self, document: Document) -> Description | None:
        """The description in a document, whose tree is dropped; None where there is nothing to serve."""
        if not description.is_description(document):
            self._others.append(_not_openapi(document))
            return None
        found = description.read(document, self._references, self._report)
        if found is not None:
            self._survey.document(document)
            self._surveyed.add(document.name)
            self._extended |= found.extended
            _name_operations(found, self._report)
        document.root = None
        return found if found is not None and found.operations else None

    def finish(self) -> None:
        """Survey the files that descriptions share, and report those that are neither shared nor descriptions."""
        while True:
            fresh = [found for found in self._folder.shared_documents() if found.name not in self._surveyed]
            if not fresh:
                break
            for document in fresh:
                self._surveyed.add(document.name)
                self._survey.document(document)
        self._survey.finish(self._extended)
        shared = {document.name for document in self._folder.shared_documents()}
        for diagnostic in self._others:
            if diagnostic.file not in shared:
                self._report.add(diagnostic)


def _not_openapi(document: Document) -> Diagnostic:
    assert document.root is not None
    message = "the file has neither `openapi` nor `swagger`, so it is not an OpenAPI description"
    hint = "add `openapi: 3.0.3`; a part of descriptions needs a `$ref` that leads to it"
    return document.diagnostic(catalogue.NOT_OPENAPI, message, document.root.place, hint=hint)


def _name_operations(found: Description, report: Report) -> None:
    """An operation's id labels logs and metrics, so two may not share one: the later is called after its path."""
    names: dict[str, str] = {}
    for operation in found.operations:
        if operation.id in names:
            message = f"operationId `{shown(operation.id)}` is used twice; first at {names[operation.id]}"
            operation.id = f"{operation.method} {operation.path}"
            hint = f"logs and metrics call this operation `{shown(operation.id)}`; give it an id of its own"
            report.add(operation.at.diagnostic(catalogue.OPERATION_ID_TWICE, message, hint))
        names[operation.id] = operation.at.where
