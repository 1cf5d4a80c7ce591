"""The compiler: `load -> bind -> resolve -> check -> lower`. Each pass reports what it finds and carries on, so that one run
shows every mistake. The command line and the test kit call it.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler import user_code
from microgate.toolkit.compiler.bind import Binder
from microgate.toolkit.compiler.check import check
from microgate.toolkit.compiler.interceptor_sources import InterceptorSources
from microgate.toolkit.compiler.load import load_project
from microgate.toolkit.compiler.lower import lower
from microgate.toolkit.compiler.model import ResolvedProject
from microgate.toolkit.compiler.resolve import resolve
from microgate.toolkit.openapi.document import whole_file
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.openapi.references import References
from microgate.toolkit.project import project_settings, subscriptions
from microgate.toolkit.project.policies import file as policies_file
from microgate.toolkit.project.project_settings import ProjectSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from microgate.diagnostics import Report
    from microgate.plan.model import Plan
    from microgate.toolkit.compiler.model import ResolvedApi
    from microgate.toolkit.openapi.document import Document


def compile_project(project: Path, report: Report) -> Plan | None:
    """The plan of a project's folder; None where `report` has errors."""
    if not project.is_dir():
        hint = "make one with `microgate init NAME`"
        message = "is not a folder" if project.exists() else "the project does not exist"
        report.add(whole_file(catalogue.NO_PROJECT, message, str(project), hint))
        return None
    with _collector_paused(), _sorted_by_place(report):
        return _compile_project(project, report)


def _compile_project(project: Path, report: Report) -> Plan | None:
    folder = Folder(project)
    reading = project_settings.read(folder, report).reading
    apis = _apis(folder, load_project(folder, report), reading, report)
    found = ResolvedProject(
        name=folder.root.name,
        apis=apis,
        policies=policies_file.read(folder, report),
        interceptors=InterceptorSources.read(folder, report),
        extensions=user_code.read(folder, report),
        subscriptions=subscriptions.read(folder, report),
    )
    return _finish(found, folder, report)


def compile_description(file: Path, report: Report) -> Plan | None:
    """The plan of one OpenAPI file without a project; None where `report` has errors. Its folder is its project."""
    with _collector_paused(), _sorted_by_place(report):
        folder = Folder(file.absolute().parent)
        document = folder.read(file.absolute(), report)
        apis = _apis(folder, [document] if document is not None else [], ProjectSettings().reading, report)
        return _finish(
            ResolvedProject(file.stem, apis, policies_file.PoliciesFile(), InterceptorSources()), folder, report
        )


@contextmanager
def _sorted_by_place(report: Report) -> Iterator[None]:
    """What the passes find, in the order in which a reader meets it."""
    before = len(report.diagnostics)
    yield
    fresh = sorted(report.diagnostics[before:], key=lambda found: (found.file, found.line, found.column))
    report.diagnostics[before:] = fresh


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Trees are large and have no cycles: the cyclic collector would walk them again and again for nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _apis(folder: Folder, documents: Iterable[Document], reading: str, report: Report) -> list[ResolvedApi]:
    references = References(folder, report)
    binder = Binder(folder, references, report)
    apis = [
        resolve(description, reading, report)
        for document in documents
        if (description := binder.bind(document)) is not None
    ]
    binder.finish()
    return apis


def _finish(project: ResolvedProject, folder: Folder, report: Report) -> Plan | None:
    check(project, report)
    return None if report.has_errors else lower(project, folder.digests)
