"""Callers whom nothing limits although the project has plans: open operations without the policy `Unauthenticated`, and others
without `Default`, which is that of callers without a subscription (WSO2 §4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.compiler.rules.policies import EVERY_REQUEST_HAS
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies import templates
from microgate.toolkit.project.policies.keys import DEFAULT, UNAUTHENTICATED, UNLIMITED

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedOperation, ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    plans = project.policies.of("subscription")
    # A project without plans limits by tiers alone.
    if not plans:
        return
    nobody_is_free = not _is_counted(project, EVERY_REQUEST_HAS)
    caller_is_free = not _is_counted(project, {*EVERY_REQUEST_HAS, "userId"})
    for api in project.apis:
        if api.tier is not None and api.tier.value != UNLIMITED:
            continue
        free = [
            operation for operation in api.operations if operation.tier is None or operation.tier.value == UNLIMITED
        ]
        if nobody_is_free and UNAUTHENTICATED not in plans:
            _say([one for one in free if _is_open(one)], "is open to all", UNAUTHENTICATED, report)
        if caller_is_free and DEFAULT not in plans and not _all_subscribe(project):
            who = "callers without a subscription may call"
            _say([one for one in free if not one.security.opened_by], who, DEFAULT, report)


def _is_counted(project: ResolvedProject, there: set[str]) -> bool:
    """Whether a custom policy counts every request that has these: one that lacks what a template names is not counted."""
    policies = project.policies.of("custom").values()
    return any(not policy.shadow and templates.variables(policy.key_template) <= there for policy in policies)


def _is_open(operation: ResolvedOperation) -> bool:
    return bool(operation.security.opened_by) or () in operation.security.alternatives


def _all_subscribe(project: ResolvedProject) -> bool:
    """Whether subscriptions.yaml lets in nobody without a subscription that has a tier."""
    if project.subscriptions is None or not project.subscriptions.subscribers.required:
        return False
    applications = project.subscriptions.subscribers.applications
    return all(one.tier for application in applications for one in application.subscriptions)


def _say(operations: list[ResolvedOperation], why: str, policy: str, report: Report) -> None:
    if not operations:
        return
    first = operations[0].source
    others = f" (and {len(operations) - 1} more)" if len(operations) > 1 else ""
    message = f"nothing limits `{first.method} {shown(first.path)}`{others}, which {why}: there is no policy `{policy}`"
    hint = f"define `{policy}` under `subscriptionPolicies` in policies.yaml, or give the API a tier"
    report.add(first.at.diagnostic(catalogue.NOT_LIMITED, message, hint))
