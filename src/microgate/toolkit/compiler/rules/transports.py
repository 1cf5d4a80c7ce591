"""A redirect to HTTPS needs an API that is offered over HTTPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        redirect, transports = api.source.extensions.https_redirect, api.source.extensions.transports
        if redirect is None or not redirect.value or transports is None or "https" in transports.value:
            continue
        message = "`x-microgate-https-redirect` leads to HTTPS, which `x-wso2-transports` does not offer"
        report.add(redirect.at.diagnostic(catalogue.EXTENSION_VALUE, message, "add `https` to `x-wso2-transports`"))
