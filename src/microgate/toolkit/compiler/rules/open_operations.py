"""Lists every operation that is open, and proves that the project itself opened it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.security import LITERAL
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        for operation in api.operations:
            security = operation.security
            source = operation.source
            name = f"`{source.method} {shown(source.path)}`"
            # An operation without schemes would let everybody in and nobody could say who opened it.
            assert security.opened_by or security.schemes
            mutual = api.source.extensions.mutual_ssl
            certified = mutual is not None and mutual.value == "mandatory"
            if security.opened_by:
                state = "asks for a client certificate and nothing else" if certified else "is open"
                report.add(source.at.diagnostic(catalogue.OPEN_OPERATION, f"{name} {state}: {security.opened_by}"))
            elif () in security.alternatives:
                asked = source.security or api.source.security
                assert api.reading == LITERAL
                assert asked is not None
                assert asked.allows_nobody_known
                beside = " beside the API's client certificate" if certified else ""
                message = f"{name} is open to callers without a credential{beside}: {asked.asked} at {asked.at.where}"
                report.add(source.at.diagnostic(catalogue.OPEN_OPERATION, message))
