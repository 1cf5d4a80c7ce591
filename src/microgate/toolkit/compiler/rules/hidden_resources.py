"""No resource lies where a longer base path of the same host answers: the longest one owns all below it, so such a resource
can never be reached.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from microgate.plan.paths import parse_base_path
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.plan.paths import Template
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedProject

    Owners = dict[tuple[str, tuple[bytes, ...]], ResolvedApi]


def check(project: ResolvedProject, report: Report) -> None:
    bases = {api.base_path: parse_base_path(api.base_path) for api in project.apis}
    owners: Owners = {(host, bases[api.base_path]): api for api in project.apis for host in _hosts(api)}
    for api in project.apis:
        reported: set[str] = set()
        for operation in api.operations:
            path = operation.source.path
            if path in reported:
                continue
            longer = _longer_bases(bases[api.base_path], operation.template)
            found = [_owner(owners, host, longer) for host in _hosts(api)]
            if any(owner is None for owner in found):
                continue
            reported.add(path)
            owner = next(one for one in found if one is not None)
            message = f"`{shown(path)}` can never be reached: all below `{owner.base_path}` is another API's"
            hint = f"that base path is at {owner.base_path_at.where}; move the resource there, or change one of the two"
            report.add(operation.source.path_at.diagnostic(catalogue.HIDDEN_RESOURCE, message, hint))


def _hosts(api: ResolvedApi) -> tuple[str, ...]:
    hosts = api.source.extensions.hosts
    return tuple(host.lower() for host in hosts.value) if hosts else ("",)


def _longer_bases(base: tuple[bytes, ...], template: Template) -> list[tuple[bytes, ...]]:
    """The base paths that would own every path of the template, longest first."""
    literal = tuple(segment.prefix for segment in takewhile(lambda one: one.is_literal, template.segments))
    return [base + literal[:count] for count in range(len(literal), 0, -1)]


def _owner(owners: Owners, host: str, longer: list[tuple[bytes, ...]]) -> ResolvedApi | None:
    return next((owners[host, base] for base in longer if (host, base) in owners), None)
