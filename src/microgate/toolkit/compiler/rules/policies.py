"""A tier names a policy that policies.yaml defines. WSO2 found a missing one only when a request came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler.resolve import UNLIMITED
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject
    from microgate.toolkit.openapi.cursor import Located


def check(project: ResolvedProject, report: Report) -> None:
    for api in project.apis:
        for tier in [api.tier, *(operation.tier for operation in api.operations)]:
            if tier is not None and tier.value != UNLIMITED:
                _check_tier(tier, project, report)


def _check_tier(tier: Located[str], project: ResolvedProject, report: Report) -> None:
    # Tiers of APIs and of operations alike are resource policies (WSO2 §4).
    policies = project.policies.get("resource", {})
    if tier.value in policies:
        return
    hint = did_you_mean(tier.value, [*policies, UNLIMITED], "define it under `resourcePolicies` in policies.yaml")
    message = f"the policy `{shown(tier.value)}` is not defined"
    report.add(tier.at.diagnostic(catalogue.UNDEFINED_POLICY, message, hint))
