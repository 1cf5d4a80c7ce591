"""Where an operation's requests go: WSO2's endpoint extensions and plain `servers` become named upstreams (WSO2 §3.2, §8.6).

Per environment the order is: the operation's extension, its or its path's `servers`, the API's extension, the API's `servers`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from microgate.plan.model import Timeouts, Upstream, UpstreamKind
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.endpoints import Reference, check_url
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.compiler.model import ResolvedOperation
    from microgate.toolkit.openapi.cursor import Located, Spot
    from microgate.toolkit.openapi.description import Description, Operation
    from microgate.toolkit.openapi.endpoints import Group
    from microgate.toolkit.openapi.servers import Server

PRODUCTION, SANDBOX = "prod", "sand"


class Endpoints:
    """The endpoints of one API. What is wrong with one is said once, however many operations use it."""

    def __init__(self, description: Description, api_id: str, report: Report) -> None:
        self._description = description
        self._api_id = api_id
        self._report = report
        self._checked: dict[tuple[str, int], bool] = {}
        self._said: set[tuple[str, int]] = set()
        self._broken = False  # something was meant to be an endpoint and has been reported

    def production(self, operation: Operation) -> Upstream | None:
        own = operation.extensions.production
        if own is not None:
            return self._of_use(own, self._operation_name(operation), PRODUCTION, operation)
        upstream = self._of_servers(operation.servers, self._servers_name(operation), operation)
        if upstream is not None:
            return upstream
        root = self._description.extensions.production
        if root is not None:
            return self._of_use(root, self._api_id, PRODUCTION, operation)
        return self._of_servers(self._description.servers, self._api_id, operation)

    def sandbox(self, operation: Operation) -> Upstream | None:
        own = operation.extensions.sandbox
        if own is not None:
            return self._of_use(own, self._operation_name(operation), SANDBOX, operation)
        root = self._description.extensions.sandbox
        return None if root is None else self._of_use(root, self._api_id, SANDBOX, operation)

    def finish(self, operations: list[ResolvedOperation]) -> bool:
        """Whether all operations have endpoints; those that have none are reported, all in one message."""
        without = [found.source for found in operations if found.production is None and found.sandbox is None]
        if not without or self._broken:
            self._warn_of_sandboxes([found.source for found in operations if found.production is None])
            return not self._broken
        first = without[0]
        name = f"`{first.method} {shown(first.path)}`"
        others = f" and {len(without) - 1} more have" if len(without) > 1 else " has"
        message = f"{name}{others} no endpoint"
        hint = "add `servers: [{url: https://…}]` or `x-wso2-production-endpoints: {urls: [https://…]}` at the root"
        relative = [found for found in self._description.servers if not (found.is_absolute or found.is_reported)]
        at = relative[0].at if relative else self._description.at
        if relative:
            what = "there is no `host`" if self._description.is_swagger else f"`{shown(relative[0].url)}` is relative"
            message += f": {what}, so no backend is named"
            hint = (
                "add `x-wso2-production-endpoints: {urls: [https://…]}` at the root, or make the server's URL absolute"
            )
        elif len(without) < len(operations):
            at = first.at
            hint = "add `x-wso2-production-endpoints: {urls: [https://…]}` to the operation or at the root"
        if self._description.is_swagger:
            hint = "add `host`, or `x-wso2-production-endpoints: {urls: [https://…]}` at the root"
        self._report.add(at.diagnostic(catalogue.NO_ENDPOINT, message, hint))
        return False

    def _warn_of_sandboxes(self, only: list[Operation]) -> None:
        if not only or self._broken:
            return
        found = only[0].extensions.sandbox or self._description.extensions.sandbox
        assert found is not None
        others = f" and {len(only) - 1} more have" if len(only) > 1 else " has"
        message = f"`{only[0].method} {shown(only[0].path)}`{others} no endpoint but a sandbox"
        hint = "calls without a sandbox token get 403; add `servers` or `x-wso2-production-endpoints` to serve them"
        self._report.add(found.at.diagnostic(catalogue.ONLY_SANDBOX, message, hint))

    def _operation_name(self, operation: Operation) -> str:
        """WSO2 drew a random name at each build; this one is stable, so that it can be overridden and measured."""
        method = operation.method.lower().replace("-", "_")
        return f"{self._api_id}_{method}_{_digest(operation.path)}"

    def _servers_name(self, operation: Operation) -> str:
        return (
            f"{self._api_id}_{_digest(operation.path)}"
            if operation.servers_of_path
            else self._operation_name(operation)
        )

    def _of_use(
        self, use: Located[Group | Reference], name: str, environment: str, operation: Operation
    ) -> Upstream | None:
        group = use.value
        if isinstance(group, Reference):
            found = self._referenced(group)
            if found is None:
                self._broken = True
                return None
            group, name = found, found.name
        urls, kind = self._spread(group)
        if not urls:
            self._broken = True
            return None
        own = operation.extensions.timeouts
        root = self._description.extensions.timeouts
        timeouts = _merge(
            own.value if own else Timeouts(),
            Timeouts(response_ms=group.timeout_ms, idle_ms=group.timeout_ms),
            root.value if root else Timeouts(),
        )
        return Upstream(name, environment, kind, urls, timeouts, group.pool)

    def _referenced(self, reference: Reference) -> Group | None:
        listed = self._description.extensions.endpoints
        groups = listed.value if listed is not None else {}
        found = groups.get(reference.name)
        if found is None and self._once(reference.at):
            message = f"the endpoint `{shown(reference.name)}` is not defined under `x-wso2-endpoints`"
            hint = did_you_mean(reference.name, groups, "add it there: `- name: {urls: [https://…]}`")
            self._report.add(reference.at.diagnostic(catalogue.UNDEFINED_ENDPOINT, message, hint))
        return found

    def _spread(self, group: Group) -> tuple[tuple[str, ...], UpstreamKind]:
        """WSO2 §3.2: one URL is `http` whatever the type says, `http` uses the first of several."""
        urls = tuple(url.value for url in group.urls)
        if len(urls) <= 1:
            return urls, UpstreamKind.HTTP
        if group.type == "http":
            if self._once(group.at):
                message = f"an endpoint of type `http` uses its first URL only: {len(urls) - 1} more are not used"
                hint = "write `type: load_balance` to use all"
                self._report.add(group.at.diagnostic(catalogue.URLS_UNUSED, message, hint))
            return urls[:1], UpstreamKind.HTTP
        return urls, UpstreamKind.FAILOVER if group.type == "failover" else UpstreamKind.LOAD_BALANCE

    def _of_servers(self, servers: list[Server], name: str, operation: Operation) -> Upstream | None:
        urls: list[str] = []
        for server in servers:
            if server.is_reported:
                self._broken = True
            elif not server.is_absolute:
                continue
            elif not self._usable(server):
                self._broken = True
            elif server.url not in urls:
                urls.append(server.url)
        if not urls:
            return None
        if len(urls) > 1 and self._once(servers[0].at):
            message = f"requests are spread over the {len(urls)} servers in turn"
            hint = "keep one server, or name the backend with `x-wso2-production-endpoints`"
            self._report.add(servers[0].at.diagnostic(catalogue.SEVERAL_SERVERS, message, hint))
        own, root = operation.extensions.timeouts, self._description.extensions.timeouts
        timeouts = _merge(own.value if own else Timeouts(), root.value if root else Timeouts())
        kind = UpstreamKind.LOAD_BALANCE if len(urls) > 1 else UpstreamKind.HTTP
        return Upstream(name, PRODUCTION, kind, tuple(urls), timeouts)

    def _usable(self, server: Server) -> bool:
        key = (server.at.document.name, server.at.place)
        if key not in self._checked:
            self._checked[key] = check_url(server.url, server.at, self._report)
        return self._checked[key]

    def _once(self, at: Spot) -> bool:
        key = (at.document.name, at.place)
        new = key not in self._said
        self._said.add(key)
        return new


def _digest(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:12]


def _merge(*layers: Timeouts) -> Timeouts:
    """Field by field the first that is set."""
    return Timeouts(
        connect_ms=next((layer.connect_ms for layer in layers if layer.connect_ms), 0),
        response_ms=next((layer.response_ms for layer in layers if layer.response_ms), 0),
        idle_ms=next((layer.idle_ms for layer in layers if layer.idle_ms), 0),
        total_ms=next((layer.total_ms for layer in layers if layer.total_ms), 0),
    )
