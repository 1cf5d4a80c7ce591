"""Fourth pass: proofs over the whole project, one in each file of rules/. The list is the order of their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit.compiler.rules import (
    built_in_paths,
    contradictions,
    duplicate_apis,
    hidden_resources,
    interceptors,
    open_operations,
    policies,
    route_conflicts,
    subscriptions,
    transports,
    unlimited_operations,
    unsupported,
)

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject

RULES = (
    unsupported.check,
    policies.check,
    unlimited_operations.check,
    subscriptions.check,
    interceptors.check,
    transports.check,
    contradictions.check,
    duplicate_apis.check,
    built_in_paths.check,
    route_conflicts.check,
    hidden_resources.check,
    open_operations.check,
)


def check(project: ResolvedProject, report: Report) -> None:
    """Run every rule, whatever the others found."""
    for rule in RULES:
        rule(project, report)
