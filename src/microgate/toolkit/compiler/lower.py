"""Last pass: a checked project becomes a plan. Nothing is reported here; the same project gives the same plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate import __version__
from microgate.plan.model import Api, Cors, Operation, Plan, Upstream
from microgate.toolkit.openapi.cors import ANY, CorsAdditions
from microgate.toolkit.project.policies.keys import UNLIMITED

if TYPE_CHECKING:
    from microgate.toolkit.compiler.model import ResolvedApi, ResolvedOperation, ResolvedProject
    from microgate.toolkit.openapi.cursor import Located
    from microgate.toolkit.openapi.extensions import Extensions


def lower(project: ResolvedProject, inputs: dict[str, str]) -> Plan:
    """The plan of a project; `inputs` are its files with their digests."""
    upstreams: dict[Upstream, int] = {}
    levels = project.policies.levels
    apis = tuple(_api(api, upstreams) for api in project.apis)
    return Plan(
        project=project.name,
        engine=__version__,
        apis=apis,
        upstreams=tuple(upstreams),
        policies=tuple(policy for _, level in sorted(levels.items()) for _, policy in sorted(level.items())),
        blocks=tuple(block.value for block in project.policies.blocks),
        extensions=project.extensions,
        subscribers=project.subscriptions.subscribers if project.subscriptions is not None else None,
        inputs=tuple(sorted(inputs.items())),
    )


def _api(api: ResolvedApi, upstreams: dict[Upstream, int]) -> Api:
    source = api.source
    extensions = source.extensions
    redirect, mutual = extensions.https_redirect, extensions.mutual_ssl
    return Api(
        id=api.id,
        name=source.title.value,
        version=source.version.value,
        base_path=api.base_path,
        file=source.file,
        operations=tuple(_operation(operation, upstreams) for operation in api.operations),
        hosts=extensions.hosts.value if extensions.hosts else (),
        transports=_transports(extensions),
        redirect_http=redirect.value if redirect else False,
        auth_header=extensions.auth_header.value if extensions.auth_header else "",
        owner=extensions.owner.value if extensions.owner else "",
        tier=_tier(api.tier),
        mutual_tls=mutual.value if mutual else "",
        cors=_cors(extensions),
    )


def _transports(extensions: Extensions) -> tuple[str, ...]:
    """Certificates come with HTTPS only, so an API that demands them is not offered without it (WSO2 §3.7)."""
    if extensions.mutual_ssl is not None and extensions.mutual_ssl.value == "mandatory":
        return ("https",)
    return tuple(sorted(extensions.transports.value)) if extensions.transports else ("http", "https")


def _cors(extensions: Extensions) -> Cors | None:
    """The block; its absent lists mean any origin, any method and no header beyond those that always pass."""
    if extensions.cors is None:
        return None
    rules = extensions.cors.value
    additions = extensions.cors_additions.value if extensions.cors_additions else CorsAdditions()
    return Cors(
        origins=ANY if rules.origins is None else rules.origins,
        methods=ANY if rules.methods is None else rules.methods,
        headers=rules.headers or (),
        credentials=rules.credentials,
        expose_headers=additions.expose_headers,
        max_age_s=additions.max_age_s,
    )


def _operation(operation: ResolvedOperation, upstreams: dict[Upstream, int]) -> Operation:
    return Operation(
        id=operation.id,
        method=operation.source.method,
        path=operation.source.path,
        security=operation.security,
        production=_index(operation.production, upstreams),
        sandbox=_index(operation.sandbox, upstreams),
        max_body_bytes=operation.max_body_bytes,
        max_in_flight=operation.max_in_flight,
        tier=_tier(operation.tier),
        cost=operation.cost,
        ip=operation.ip,
        forward_auth=operation.forward_auth,
    )


def _index(upstream: Upstream | None, upstreams: dict[Upstream, int]) -> int | None:
    return None if upstream is None else upstreams.setdefault(upstream, len(upstreams))


def _tier(tier: Located[str] | None) -> str:
    return "" if tier is None or tier.value == UNLIMITED else tier.value
