"""What subscriptions.yaml names exists: APIs by title and version, tiers by what policies.yaml defines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies.keys import UNLIMITED

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedProject


def check(project: ResolvedProject, report: Report) -> None:
    if project.subscriptions is None:
        return
    versions: dict[str, list[str]] = {}
    for api in project.apis:
        versions.setdefault(api.source.title.value.strip(), []).append(api.source.version.value)
    for title, version in project.subscriptions.apis:
        known = versions.get(title.value.strip())
        if known is None:
            message = f"no API of the project has the title `{shown(title.value)}`"
            hint = did_you_mean(title.value, versions)
            report.add(title.at.diagnostic(catalogue.SUBSCRIPTION_API, message, hint))
        elif version not in ("*", *known):
            message = f"the API `{shown(title.value)}` has no version `{shown(version)}`"
            hint = f"it has {', '.join(f'`{one}`' for one in known[:8])}"
            report.add(title.at.diagnostic(catalogue.SUBSCRIPTION_API, message, hint))
    for tier, level in project.subscriptions.tiers:
        policies = project.policies.of(level)
        if level not in project.policies.unread and tier.value not in policies and tier.value != UNLIMITED:
            message = f"the {level} policy `{shown(tier.value)}` is not defined"
            hint = did_you_mean(
                tier.value, [*policies, UNLIMITED], f"define it under `{level}Policies` in policies.yaml"
            )
            report.add(tier.at.diagnostic(catalogue.UNDEFINED_POLICY, message, hint))
