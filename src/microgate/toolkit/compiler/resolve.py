"""Third pass: inheritance is applied, so that every operation knows its path, security, endpoints and limits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from microgate.plan.paths import TemplateError, parse_base_path, parse_template
from microgate.toolkit import catalogue
from microgate.toolkit.compiler.model import ResolvedApi, ResolvedOperation
from microgate.toolkit.compiler.resolve_endpoints import Endpoints
from microgate.toolkit.compiler.resolve_security import FORWARD, Access
from microgate.toolkit.openapi.cursor import Located
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies.keys import UNLIMITED

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.plan.paths import Template
    from microgate.toolkit.openapi.cursor import Spot
    from microgate.toolkit.openapi.description import Description, Operation

T = TypeVar("T")


def resolve(description: Description, reading: str, report: Report) -> ResolvedApi:
    """One API with everything that its operations inherit; `reading` is the project's of `security`."""
    api_id = make_api_id(description.title.value, description.version.value)
    base_path = _base_path(description, report)
    access = Access(description, reading, report)
    api = ResolvedApi(
        source=description,
        id=api_id,
        base_path=base_path.value if base_path else "/",
        base_path_at=base_path.at if base_path else description.at,
        tier=_tier(description.extensions.tier, description.extensions.apim_tier, report),
        reading=access.reading,
    )
    endpoints = Endpoints(description, api_id, report)
    for operation in description.operations:
        template = _template(operation, report)
        if template is None:
            continue
        security = access.of(operation)
        api.operations.append(
            ResolvedOperation(
                source=operation,
                id=operation.id,
                template=template,
                security=security,
                production=endpoints.production(operation),
                sandbox=endpoints.sandbox(operation),
                max_body_bytes=_nearest(operation.extensions.max_body, description.extensions.max_body),
                max_in_flight=_nearest(operation.extensions.max_in_flight, description.extensions.max_in_flight),
                tier=_operation_tier(api, operation, report),
                cost=1 if operation.extensions.cost is None else operation.extensions.cost.value,
                ip=_nearest(operation.extensions.ip, description.extensions.ip),
                forward_auth=access.service(operation) if FORWARD in security.schemes else None,
            )
        )
    if endpoints.finish(api.operations) and base_path is None:
        at = description.servers[0].at if description.servers else description.at
        message = "no server has a path and there is no `x-wso2-basePath`, so the base path is `/`"
        report.add(at.diagnostic(catalogue.BASE_PATH_ASSUMED, message, "add `x-wso2-basePath: /…` at the root"))
    return api


def _template(operation: Operation, report: Report) -> Template | None:
    path = operation.path
    problem = "" if path.isprintable() else f"path `{shown(path)}` holds control characters"
    try:
        template = parse_template(path)
    except TemplateError as error:
        problem = problem or str(error)
    if problem:
        report.add(operation.path_at.diagnostic(catalogue.PATH_TEMPLATE, problem))
        return None
    return template


def make_api_id(name: str, version: str) -> str:
    """WSO2 §2.3: also the name of an API's inline endpoints, so run-time override keys depend on it."""
    return "api_" + hashlib.sha256(f"{name}:{version}".encode()).hexdigest()


def _base_path(description: Description, report: Report) -> Located[str] | None:
    """The base path without a trailing slash, None where the description names none (WSO2 §2.4, §3.1)."""
    own = description.extensions.base_path
    if own is not None:
        text = own.value.replace("{version}", description.version.value)
        return _checked_base_path(text, own.at, report)
    if not description.servers:
        return None
    first = description.servers[0]
    try:
        path = first.path
    except ValueError:
        path = ""  # the malformed URL is reported with the endpoints
    return _checked_base_path(path, first.at, report) if path else None


def _checked_base_path(text: str, at: Spot, report: Report) -> Located[str]:
    path = "/" + text.strip("/")
    try:
        parse_base_path(path)
    except TemplateError as error:
        hint = "a base path is plain text such as `/store/v1`; `{version}` stands for `info.version`"
        report.add(at.diagnostic(catalogue.BASE_PATH, str(error), hint))
        path = "/"
    return Located(path, at)


def _nearest(operation: Located[T] | None, root: Located[T] | None) -> T | None:
    found = operation or root
    return None if found is None else found.value


def _tier(first: Located[str] | None, second: Located[str] | None, report: Report) -> Located[str] | None:
    if first is None or second is None:
        return first or second
    if first.value != second.value:
        message = f"the tier `{shown(second.value)}` is neglected, since `{shown(first.value)}` stands beside it"
        report.add(second.at.diagnostic(catalogue.TIER_NEGLECTED, message, "remove one of the two"))
    return first


def _operation_tier(api: ResolvedApi, operation: Operation, report: Report) -> Located[str] | None:
    """WSO2 §3.4: on operations the API Manager's key wins, and a tier of the API drops them all."""
    tier = _tier(operation.extensions.apim_tier, operation.extensions.tier, report)
    if tier is not None and api.tier is not None and tier.value != UNLIMITED:
        message = f"the tier `{shown(tier.value)}` is neglected, since the API has the tier `{shown(api.tier.value)}`"
        report.add(tier.at.diagnostic(catalogue.TIER_NEGLECTED, message, "remove one of the two"))
        return None
    return tier
