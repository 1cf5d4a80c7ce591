"""A tier names a policy that policies.yaml defines and that lets its operations pass. WSO2 found a missing one only when a
request came. Blocked APIs exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies import templates
from microgate.toolkit.project.policies.keys import UNAUTHENTICATED, UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.diagnostics import Report
    from microgate.plan.model import Policy
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedOperation, ResolvedProject
    from microgate.toolkit.openapi.cursor import Located

EVERY_REQUEST_HAS = {"resourceKey", "apiContext", "apiVersion", "apiTenant", "clientIp"}


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        for tier in [api.tier, *(operation.tier for operation in api.operations)]:
            if tier is not None and tier.value != UNLIMITED:
                _check_tier(tier, project, report)
        _check_costs(api, project, report)
    _check_blocks(project, report)


def _check_tier(tier: Located[str], project: ResolvedProject, report: Report) -> None:
    # Tiers of APIs and of operations alike are resource policies (WSO2 §4).
    policies = project.policies.of("resource")
    if tier.value in policies or "resource" in project.policies.unread:
        return
    hint = did_you_mean(tier.value, [*policies, UNLIMITED], "define it under `resourcePolicies` in policies.yaml")
    elsewhere = next((level for level, known in project.policies.levels.items() if tier.value in known), None)
    if elsewhere is not None:
        hint = f"`{shown(tier.value)}` is a policy of {elsewhere}Policies; tiers here are those of resourcePolicies"
    message = f"the policy `{shown(tier.value)}` is not defined"
    report.add(tier.at.diagnostic(catalogue.UNDEFINED_POLICY, message, hint))


def _check_costs(api: ResolvedApi, project: ResolvedProject, report: Report) -> None:
    """An operation that costs more than a policy ever lets pass could never be called."""
    for operation in api.operations:
        cost = operation.source.extensions.cost
        if cost is None:
            continue
        for policy in _certain(api, operation, project):
            most = _most(policy)
            if most is not None and cost.value > most and not policy.shadow:
                name = shown(policy.name)
                message = (
                    f"a request costs {cost.value}, but the {policy.level} policy `{name}` lets {most} pass at most"
                )
                hint = f"lower the cost, or raise what `{name}` allows"
                report.add(cost.at.diagnostic(catalogue.POLICY_CONTRADICTION, message, hint))


def _certain(api: ResolvedApi, operation: ResolvedOperation, project: ResolvedProject) -> Iterator[Policy]:
    """The policies that count every request at an operation, whoever calls."""
    tier = api.tier or operation.tier
    resource = project.policies.of("resource").get(tier.value) if tier is not None else None
    nobody = project.policies.of("subscription").get(UNAUTHENTICATED) if operation.security.opened_by else None
    yield from (policy for policy in (resource, nobody) if policy is not None)
    # A request that lacks what a template names is not counted by it.
    there = {*EVERY_REQUEST_HAS, "userId"} if not operation.security.opened_by else EVERY_REQUEST_HAS
    for policy in project.policies.of("custom").values():
        if templates.variables(policy.key_template) <= there:
            yield policy


def _most(policy: Policy) -> int | None:
    """The dearest request that passes some day, in whichever group it falls; None where there is no bound."""
    bounds = []
    for allowance in (policy.allowance, *(group.allowance for group in policy.groups)):
        found = [
            part
            for part in (allowance.quota and allowance.quota.count, allowance.burst and allowance.burst.size)
            if part
        ]
        if not found:
            return None
        bounds.append(min(found))
    return max(bounds)


def _check_blocks(project: ResolvedProject, report: Report) -> None:
    bases = {api.base_path for api in project.apis}
    for block in project.policies.blocks:
        if block.value.kind == "api" and block.value.value not in bases:
            message = f"no API of the project has the base path `{shown(block.value.value)}`"
            hint = did_you_mean(
                block.value.value, bases, f"there are {', '.join(f'`{base}`' for base in sorted(bases)[:8])}"
            )
            report.add(block.at.diagnostic(catalogue.BLOCKED_API, message, hint))
