"""The last step of a request: choose an endpoint, build the head the backend gets, and hand both to the endpoint's pool.

Everything that an operation and an endpoint fix is prepared at link time (WSO2 §8.1 for selection and paths).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from microgate.plan.paths import parse_base_path
from microgate.runtime import faults, header_overrides
from microgate.runtime.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import Forward
    from microgate.runtime.protocols.http1_client import Head
    from microgate.runtime.upstreams.pool import Pool
    from microgate.settings.model import Settings


class HeadWriter:
    """What the settings say of a request's head; one per worker, shared by all operations."""

    def __init__(self, settings: Settings) -> None:
        forwarding = settings.forwarding
        self.adds_x = forwarding.headers in {"x-forwarded", "both"}
        self.adds_forwarded = forwarding.headers in {"forwarded", "both"}
        self.request_id_name = forwarding.request_id_header
        self.removes_credential = settings.auth.remove_auth_header_from_out_message
        self.override = header_overrides.for_requests(settings.server)
        self.credential_name = settings.auth.authorization_header.lower().encode()

    def credential_of(self, api: Api) -> bytes:
        """The lower-case name of the field that carries an API's credential."""
        return api.auth_header.lower().encode() or self.credential_name

    def forwarded(self, exchange: Exchange) -> bytes:
        """The fields that tell a backend about the client, extended where a trusted proxy began them; each with its end."""
        lines = b""
        downstream = exchange.downstream
        if self.adds_x:
            if downstream.trusted:
                host = exchange.values(b"x-forwarded-host")
                lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n" % (
                    b", ".join([*exchange.values(b"x-forwarded-for"), downstream.peer.encode()]),
                    exchange.scheme.encode(),
                    host[0] if host else exchange.authority,
                )
            else:
                lines = b"%b\r\nX-Forwarded-Host: %b\r\n" % (downstream.forwarded, exchange.authority)
        return lines + self._forwarded_element(exchange) if self.adds_forwarded else lines

    def _forwarded_element(self, exchange: Exchange) -> bytes:
        peer = exchange.downstream.peer
        node = f'"[{peer}]"' if ":" in peer else peer if peer != "unix" else "unknown"
        host = exchange.authority.decode("latin-1").replace('"', "")
        element = f'for={node};proto={exchange.downstream.scheme};host="{host}"'.encode("latin-1")
        earlier = exchange.values(b"forwarded") if exchange.downstream.trusted else []
        return b"Forwarded: %b\r\n" % b", ".join([*earlier, element])


class Target:
    """Where an endpoint's URL points: what goes into a request line and a Host field."""

    __slots__ = ("authority", "path", "query")

    def __init__(self, url: str) -> None:
        if url.startswith("unix:"):
            _, _, path = url[5:].partition(":")
            self.authority, self.path, self.query = b"localhost", path.rstrip("/").encode(), b""
            return
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}[parts.scheme]
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = parts.port or default
        self.authority = (host if port == default else f"{host}:{port}").encode()
        self.path = parts.path.rstrip("/").encode()
        self.query = parts.query.encode()


def link_head(writer: HeadWriter, api: Api, operation: Operation, endpoint: Target) -> Head:
    """The function that writes the head of this operation's requests for this endpoint."""
    base = b"".join(b"/" + segment for segment in parse_base_path(api.base_path))  # as requests spell it
    below, cut = base + b"/", len(base)
    start = f"{operation.method} ".encode() + endpoint.path
    query = endpoint.query
    version = b" HTTP/1.1\r\nHost: " + endpoint.authority
    lines_of = _overridden(_passing(writer, api), writer.override)
    short = writer.adds_x and not writer.adds_forwarded
    forwards = writer.adds_x or writer.adds_forwarded
    request_id = f"\r\n{writer.request_id_name}: " if writer.request_id_name else ""

    def head(exchange: Exchange) -> bytes:
        target = exchange.target
        rest = target[cut:] if target.startswith(below) else _below_base(target, base)
        if query:
            rest = _with_query(rest, query)
        trace = f"traceparent: 00-{exchange.trace_id}-{exchange.span_id}-{exchange.trace_flags}"
        if request_id:
            trace = f"{trace}{request_id}{exchange.request_id}"
        out = [start + rest + version]
        out += lines_of(exchange)
        downstream = exchange.downstream
        if short and not downstream.trusted:
            out += (downstream.forwarded, b"X-Forwarded-Host: " + exchange.authority)
        elif forwards:
            out.append(writer.forwarded(exchange)[:-2])
        if exchange.length < 0:
            out.append(b"Transfer-Encoding: chunked")
        out += (trace.encode(), b"\r\n")
        return b"\r\n".join(out)

    return head


def _passing(writer: HeadWriter, api: Api) -> Callable[[Exchange], Lines]:
    """The lines of a request that go on: `exchange.passing`, less or more the credential's."""
    credential = writer.credential_of(api)
    if writer.removes_credential and credential == b"authorization":

        def usual(exchange: Exchange) -> Lines:
            return exchange.passing if exchange.dropped_names is None else _undropped(exchange, exchange.passing)

        return usual

    def filtered(exchange: Exchange) -> Lines:
        lines = exchange.passing
        if credential != b"authorization" or not writer.removes_credential:
            # Authorization is an ordinary field here: put it where the client had it. What stages added stays behind it.
            passing, received = set(map(id, lines)), set(map(id, exchange.lines))
            added = [line for line in lines if id(line) not in received]
            lines = [line for line in exchange.lines if id(line) in passing or line[:14].lower() == b"authorization:"]
            lines += added
        if writer.removes_credential:
            lines = [line for line in lines if line[: line.find(b":")].lower() != credential]
        return lines if exchange.dropped_names is None else _undropped(exchange, lines)

    return filtered


def _overridden(
    lines_of: Callable[[Exchange], Lines], override: Callable[[Lines], Lines] | None
) -> Callable[[Exchange], Lines]:
    if override is None:
        return lines_of
    return lambda exchange: override(lines_of(exchange))


def _undropped(exchange: Exchange, lines: Lines) -> Lines:
    """Without the client's fields that its Connection takes along (RFC 9110 §7.6.1); what stages added is no field of it."""
    drops = exchange.dropped_names or frozenset()
    received = set(map(id, exchange.lines))
    return [line for line in lines if line[: line.find(b":")].lower() not in drops or id(line) not in received]


def _below_base(target: bytes, base: bytes) -> bytes:
    """The target without its base path, which may carry matrix parameters in its segments (WSO2 §14.4)."""
    segments = base.count(b"/")
    path, mark, query = target.partition(b"?")
    for _ in range(segments):
        position = path.find(b"/", 1)
        path = path[position:] if position > 0 else b""
    return (path or b"/") + mark + query


def _with_query(rest: bytes, query: bytes) -> bytes:
    """An endpoint's own query comes first, the client's follows."""
    path, mark, given = rest.partition(b"?")
    return path + b"?" + query + (b"&" + given if mark and given else b"")


class Group:
    """The endpoints of one upstream as one operation uses them: each pool with the head that it wants."""

    __slots__ = ("_members", "_next")

    def __init__(self, members: list[tuple[Pool, Head]]) -> None:
        self._members = members
        self._next = -1

    def pick(self) -> tuple[Pool, Head]:
        """Round robin, beginning with the first (WSO2 §8.2)."""
        self._next = (self._next + 1) % len(self._members)
        return self._members[self._next]


def link(production: Group | None, sandbox: Group | None) -> Forward:
    """The forward step of an operation. Exactly PRODUCTION chooses the production endpoints (WSO2 §8.1)."""

    def forward(exchange: Exchange) -> None:
        consumer = exchange.consumer
        sandboxed = consumer is not None and consumer.key_type != "PRODUCTION"
        group = sandbox if sandboxed else production
        if group is None:
            kind = "Sandbox key offered to the API with no sandbox endpoint"
            if not sandboxed:
                kind = "Production key offered to the API with no production endpoint"
            exchange.fail(Fault(faults.NO_ENDPOINT, description=kind))
            return
        pool, head = group.pick()
        pool.serve(exchange, head)

    return forward
