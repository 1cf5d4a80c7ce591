"""What a later release implements is refused here, once for each use; a policy that a user wrote is never dropped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import UpstreamKind
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.endpoints import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedProject
    from microgate.toolkit.openapi.cursor import Spot
    from microgate.toolkit.openapi.endpoints import Group
    from microgate.toolkit.openapi.extensions import Extensions

REMOVE = "remove it, or stay with a gateway that has it until this one does"


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        _check_root(api, report)
        for group in _groups(api):
            _check_group(group, report)


def _all(api: ResolvedApi) -> Iterator[Extensions]:
    yield api.source.extensions
    for operation in api.source.operations:
        yield operation.extensions


def _groups(api: ResolvedApi) -> Iterator[Group]:
    """Every endpoint object of an API, used or not, each once."""
    listed = api.source.extensions.endpoints
    if listed is not None:
        yield from listed.value.values()
    for extensions in _all(api):
        for use in (extensions.production, extensions.sandbox):
            if use is not None and not isinstance(use.value, Reference):
                yield use.value


def _check_root(api: ResolvedApi, report: Report) -> None:
    extensions = api.source.extensions
    if extensions.response_cache is not None and extensions.response_cache.value:
        _refuse(extensions.response_cache.at, "response caching (`x-wso2-response-cache`)", report)


def _check_group(group: Group, report: Report) -> None:
    for item in group.unsupported:
        _refuse(item.at, item.value, report)
    if group.type == UpstreamKind.FAILOVER.value and len(group.urls) > 1:
        _refuse(group.at, "failover (`type: failover`)", report)
    if group.streams_per_connection is not None:
        message = "`maxActiveStreamsPerConnection` has no effect: backends are called with HTTP/1.1"
        report.add(group.streams_per_connection.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove it"))


def _refuse(at: Spot, what: str, report: Report) -> None:
    report.add(at.diagnostic(catalogue.NOT_SUPPORTED_YET, f"not supported yet: {what}", REMOVE))
