"""What passes hand one another after binding: APIs and operations with everything decided, and the places it came from.

Nothing here holds a document's tree, so a description's tree is gone before the next one is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.plan.model import ForwardAuth, IpRules, Module, Security, Upstream
    from microgate.plan.paths import Template
    from microgate.toolkit.compiler.interceptor_sources import InterceptorSources
    from microgate.toolkit.openapi.cursor import Located, Spot
    from microgate.toolkit.openapi.description import Description, Operation
    from microgate.toolkit.project.policies.file import PoliciesFile
    from microgate.toolkit.project.subscriptions import SubscriptionsFile


@dataclass
class ResolvedOperation:
    """An operation with inheritance applied."""

    source: Operation
    id: str
    template: Template
    security: Security
    production: Upstream | None
    sandbox: Upstream | None
    max_body_bytes: int | None
    max_in_flight: int | None
    tier: Located[str] | None
    cost: int
    ip: IpRules | None
    forward_auth: ForwardAuth | None


@dataclass
class ResolvedApi:
    """An API with inheritance applied. `base_path_at` is where the base path was said, or the document; `reading` is how
    its `security` is read.
    """

    source: Description
    id: str
    base_path: str
    base_path_at: Spot
    tier: Located[str] | None
    reading: str
    operations: list[ResolvedOperation] = field(default_factory=list)


@dataclass
class ResolvedProject:
    """All of a project, as the rules see it."""

    name: str
    apis: list[ResolvedApi]
    policies: PoliciesFile
    interceptors: InterceptorSources
    extensions: tuple[Module, ...] = ()
    subscriptions: SubscriptionsFile | None = None
