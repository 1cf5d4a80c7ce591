"""The upstreams of a plan, made real for one worker: a pool per endpoint, and the forward step of each operation.

Run-time override keys (WSO2 §8.6) replace URLs here; assembly calls `forward` once per operation, on its first use.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from microgate.errors import KeyMaterialError, SettingsError
from microgate.runtime.protocols import fields
from microgate.runtime.protocols.http1_client import Bounds, KnownAnswer
from microgate.runtime.protocols.known_heads import KnownHeads
from microgate.runtime.upstreams import forward
from microgate.runtime.upstreams.connect import Connector
from microgate.runtime.upstreams.forward import Group, HeadWriter, Target
from microgate.runtime.upstreams.pool import Counts, Pool, PoolLimits
from microgate.runtime.upstreams.resolver import Resolver

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from microgate.plan.model import Api, Operation, Plan, Upstream
    from microgate.runtime.pipeline import Forward
    from microgate.runtime.protocols.deadlines import Watch
    from microgate.settings.model import Backend, Settings


MAX_NAMED = 8  # endpoints in a hint


@dataclass(frozen=True)
class _Member:
    pool: Pool
    target: Target


class Backends:
    """All backends of one worker. Pools are made when an operation first uses their upstream.

    `own_names` are lower-case fields that only the gateway gives backends; an answer never carries them to a client.
    Raises SettingsError and KeyMaterialError for what could not be used later.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        loop: AbstractEventLoop,
        watch: Watch,
        own_names: frozenset[bytes],
        counts: Counts,
    ) -> None:
        _check_overrides(plan, settings)
        self._plan = plan
        self._settings = settings
        self._loop = loop
        self._watch = watch
        self._counts = counts
        self._writer = HeadWriter(settings)
        stopped = own_names | {settings.forwarding.request_id_header.lower().encode()}
        self._known: KnownHeads[KnownAnswer] = KnownHeads()
        self._kinds = fields.Lines(fields.ANSWER_KINDS | dict.fromkeys(stopped, fields.STOPPED), proves=True)
        self._resolver: Resolver | None = None
        # The system's authorities are many and always there, so they wait for their first use; a file may be missing.
        self._tls = tls_context(settings.backend) if settings.backend.ca_file else None
        self._members: dict[int, list[_Member]] = {}

    @property
    def pools(self) -> list[Pool]:
        return [member.pool for members in self._members.values() for member in members]

    def forward(self, api: Api, operation: Operation) -> Forward:
        """The step that sends an operation's exchanges to its backend."""
        return forward.link(
            self._group(operation.production, api, operation), self._group(operation.sandbox, api, operation)
        )

    def _group(self, index: int | None, api: Api, operation: Operation) -> Group | None:
        if index is None:
            return None
        if index not in self._members:
            self._members[index] = self._make(self._plan.upstreams[index])
        return Group(
            [
                (member.pool, forward.link_head(self._writer, api, operation, member.target))
                for member in self._members[index]
            ]
        )

    def _make(self, upstream: Upstream) -> list[_Member]:
        backend = self._settings.backend
        timeouts, pool = upstream.timeouts, upstream.pool
        bounds = Bounds(
            response=(timeouts.response_ms or backend.response_timeout_in_millis) / 1000,
            idle=(timeouts.idle_ms or backend.idle_timeout_in_millis) / 1000,
            total=(timeouts.total_ms or backend.total_timeout_in_millis) / 1000,
            limits=backend.response_limits,
            kinds=self._kinds,
            known=self._known,
        )
        limits = PoolLimits(
            max_active=_first(pool.max_active_connections, backend.max_active_connections),
            max_idle=_first(pool.max_idle_connections, backend.max_idle_connections),
            wait=_first(pool.wait_ms, backend.wait_time_in_millis) / 1000,
            idle_timeout=backend.pool_idle_timeout_in_millis / 1000,
        )
        connect_timeout = (timeouts.connect_ms or backend.connect_timeout_in_millis) / 1000
        return [_Member(self._pool(url, bounds, limits, connect_timeout), Target(url)) for url in self._urls(upstream)]

    def _urls(self, upstream: Upstream) -> list[str]:
        raw = self._settings.raw
        keyed = zip(_override_keys(upstream), upstream.urls, strict=True)
        return [_with_lower_scheme(str(raw.get(key, url))) for key, url in keyed]

    def _pool(self, url: str, bounds: Bounds, limits: PoolLimits, connect_timeout: float) -> Pool:
        if self._resolver is None:
            self._resolver = Resolver(self._loop, servers=self._settings.names.name_servers)
        secure = url.startswith("https:")
        connector = Connector(
            self._loop, self._resolver, url, ssl_context=self._context() if secure else None, timeout=connect_timeout
        )
        return Pool(
            name=url if url.startswith("unix:") else urlsplit(url)._replace(path="", query="", fragment="").geturl(),
            connector=connector,
            bounds=bounds,
            limits=limits,
            counts=self._counts,
            watch=self._watch,
        )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._settings.backend)
        return self._tls

    def close(self) -> None:
        for pool in self.pools:
            pool.close()
        if self._resolver is not None:
            self._resolver.close()


def _with_lower_scheme(url: str) -> str:
    """Schemes are the same in any case (RFC 3986 §3.1), and what asks for one asks in lower case."""
    scheme, colon, rest = url.partition(":")
    return scheme.lower() + colon + rest


def _override_keys(upstream: Upstream) -> list[str]:
    """The names under which a start may replace an upstream's URLs (WSO2 §8.6)."""
    return [f"{upstream.name}_{upstream.environment}_endpoint_{index}" for index in range(len(upstream.urls))]


def _check_overrides(plan: Plan, settings: Settings) -> None:
    """Raise SettingsError for a key that replaces an endpoint that there is not."""
    known = {key: None for upstream in plan.upstreams for key in _override_keys(upstream)}
    for key in settings.raw:
        if "_endpoint_" in key and key not in known:
            name = key.partition("_")[0]
            near = [f"`{one}`" for one in known if one.startswith(name)]
            hint = f"there are {', '.join(near[:MAX_NAMED])}" if near else ""
            raise SettingsError(f"`{key}` replaces an endpoint that the project does not have", hint)


def tls_context(backend: Backend) -> ssl.SSLContext:
    """TLS towards backends: verified against `caFile` or the system's authorities unless the settings say otherwise."""
    try:
        context = ssl.create_default_context(cafile=backend.ca_file or None)
    except OSError as error:
        cause = (
            "no certificate in PEM form" if isinstance(error, ssl.SSLError) else os.strerror(error.errno or 0).lower()
        )
        raise KeyMaterialError(f"`httpClients.caFile`: cannot use `{backend.ca_file}`: {cause}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not backend.verify_hostname or backend.disable_ssl_verification:
        context.check_hostname = False
    if backend.disable_ssl_verification:
        context.verify_mode = ssl.CERT_NONE
    return context


def _first(value: int | None, default: int) -> int:
    return default if value is None else value
