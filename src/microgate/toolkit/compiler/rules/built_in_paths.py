"""No API hides, or is hidden by, a path that the gateway itself serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject

BUILT_IN_PATHS = ("/health", "/apikey", "/token", "/authorize", "/revoke", "/userinfo", "/.well-known/microgate")


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        hint = f"choose another path; the gateway's own are {', '.join(BUILT_IN_PATHS)}"
        if _is_taken(api.base_path):
            message = f"the base path `{api.base_path}` is one of the gateway's own"
            report.add(api.base_path_at.diagnostic(catalogue.BUILT_IN_PATH, message, hint))
            continue
        base = "" if api.base_path == "/" else api.base_path
        reported: set[str] = set()
        for operation in api.operations:
            path = base + operation.source.path.rstrip("/")
            if path not in reported and _is_taken(path):
                reported.add(path)
                message = f"the path `{path}` is one of the gateway's own"
                report.add(operation.source.path_at.diagnostic(catalogue.BUILT_IN_PATH, message, hint))


def _is_taken(path: str) -> bool:
    """A service owns its path and all below it."""
    return any(path == own or path.startswith(own + "/") for own in BUILT_IN_PATHS)
