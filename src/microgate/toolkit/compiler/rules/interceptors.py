"""An interceptor that an API names must exist. Ballerina and Java cannot run here, so each use of one is named with its file, and
so is a Ballerina file that nobody uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler.rules.unsupported import REMOVE
from microgate.toolkit.compiler.user_code import unused
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.interceptor_sources import InterceptorSources
    from microgate.toolkit.compiler.model import ResolvedProject
    from microgate.toolkit.openapi.cursor import Located
    from microgate.toolkit.openapi.extensions import Extensions

REWRITE = "rewrite it as a Python function in interceptors/"


def check(project: ResolvedProject, report: Report) -> None:
    used = set()
    for extensions in _all_extensions(project):
        for use in (extensions.request_interceptor, extensions.response_interceptor):
            if use is not None:
                used.add(use.value)
                _check_use(use, project.interceptors, report)
    for file, functions in project.interceptors.ballerina_files.items():
        if not functions & used:
            report.add(unused(file))


def _all_extensions(project: ResolvedProject) -> Iterator[Extensions]:
    for api in project.apis:
        yield api.source.extensions
        for operation in api.source.operations:
            yield operation.extensions


def _check_use(use: Located[str], sources: InterceptorSources, report: Report) -> None:
    name = use.value
    shown_name = shown(name)
    if name.startswith("java:"):
        message = f"the Java interceptor `{shown_name}` cannot run here"
        report.add(use.at.diagnostic(catalogue.FOREIGN_CODE, message, REWRITE))
    elif "/" in name:
        message = f"the interceptor `{shown_name}` comes from Ballerina's policy hub and cannot run here"
        report.add(use.at.diagnostic(catalogue.FOREIGN_CODE, message, REWRITE))
    elif name in sources.python:
        message = f"not supported yet: interceptors (`{shown_name}`)"
        report.add(use.at.diagnostic(catalogue.NOT_SUPPORTED_YET, message, REMOVE))
    elif name in sources.ballerina:
        message = f"the interceptor `{shown_name}` is Ballerina ({sources.ballerina[name]}) and cannot run here"
        report.add(use.at.diagnostic(catalogue.FOREIGN_CODE, message, REWRITE))
    else:
        message = f"the interceptor `{shown_name}` is not defined"
        hint = did_you_mean(name, [*sources.python, *sources.ballerina], "define it as a function in interceptors/")
        report.add(use.at.diagnostic(catalogue.UNDEFINED_INTERCEPTOR, message, hint))
