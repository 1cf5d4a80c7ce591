"""No two operations can match the same request with equal precedence: what a request meets never depends on an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.paths import RouteKey, find_conflicts
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedOperation, ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    operations: list[ResolvedOperation] = []
    keys: list[RouteKey] = []
    for api in project.apis:
        hosts = api.source.extensions.hosts
        for operation in api.operations:
            operations.append(operation)
            keys.append(
                RouteKey(
                    hosts=hosts.value if hosts else (),
                    base_path=api.base_path,
                    template=operation.template,
                    method=operation.source.method,
                )
            )
    for first, second in find_conflicts(keys):
        one, other = operations[first].source, operations[second].source
        message = f"`{other.method} {shown(other.path)}` matches the same requests as `{one.method} {shown(one.path)}`"
        hint = f"the other is at {one.at.where}; make one of the two paths differ in more than the names of parameters"
        report.add(other.at.diagnostic(catalogue.ROUTE_CONFLICT, message, hint))
