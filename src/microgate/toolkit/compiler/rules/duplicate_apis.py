"""No two descriptions are of one API (title and version), and no two APIs have one base path on one host.

The comparison is made after `{version}` is put in, so that two versions of an API may share `/store/{version}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    by_name: dict[tuple[str, str], ResolvedApi] = {}
    by_base_path: dict[tuple[str, str], ResolvedApi] = {}
    for api in project.apis:
        name = (api.source.title.value, api.source.version.value)
        if all(name) and name in by_name:
            first = by_name[name]
            message = f"the API `{shown(name[0])}` version `{shown(name[1])}` is described twice"
            hint = f"the other is {first.source.file}; change `info.version`, or remove one of the files"
            report.add(api.source.title.at.diagnostic(catalogue.DUPLICATE_API, message, hint))
            continue
        by_name[name] = api
        hosts = api.source.extensions.hosts
        for host in hosts.value if hosts else ("",):
            first = by_base_path.setdefault((host, api.base_path), api)
            if first is not api:
                message = f"the base path `{shown(api.base_path)}` is that of {first.source.file} too"
                hint = "give one of them another `x-wso2-basePath`"
                report.add(api.base_path_at.diagnostic(catalogue.DUPLICATE_BASE_PATH, message, hint))
                break
