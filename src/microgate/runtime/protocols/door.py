"""What all connections of a worker share on the client's side: limits, timeouts, the watch, and where exchanges go.

Made once per worker by assembly from the settings; connections only read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from microgate.runtime.protocols import fields
from microgate.runtime.protocols.known_heads import KnownHeads
from microgate.runtime.protocols.peers import TrustedProxies
from microgate.runtime.protocols.proof import Proof

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.protocols.deadlines import Watch
    from microgate.runtime.protocols.known_heads import RequestFields
    from microgate.settings.model import Settings

    Add = Callable[[int], None]

FIRST_REQUEST_SECONDS = 2.0  # for a connection that has said nothing yet to speak, once the gateway drains


class Entrance(Protocol):
    """Where exchanges go: the gateway."""

    def accept(self, exchange: Exchange) -> None:
        """Serve a request that is well-formed."""

    def refuse(self, exchange: Exchange, fault: Fault) -> None:
        """Answer a request that is malformed."""

    def forget(self, exchange: Exchange, reason: str) -> None:
        """Account for a request that will never begin."""


class Door:
    """The settings of the client's side, and the ways in of the `entrance`.

    `own_names` are lower-case fields that only the gateway may set towards a backend; a client's are stopped. `counter`
    gives the function that adds to a metric, see `observability.metrics.COUNTERS`.
    """

    def __init__(
        self,
        settings: Settings,
        watch: Watch,
        entrance: Entrance,
        own_names: frozenset[bytes],
        counter: Callable[[str], Add],
    ) -> None:
        listener = settings.listener
        self.accept = entrance.accept
        self.refuse = entrance.refuse
        self.forget = entrance.forget
        self.watch = watch
        self.max_uri_bytes = listener.max_uri_length
        self.max_header_bytes = listener.max_header_size
        self.max_header_count = listener.max_header_count
        self.max_pipelined = max(1, listener.max_pipelined_requests)
        self.max_requests = listener.max_requests_per_connection or (1 << 62)
        self.header_timeout = listener.header_timeout_in_millis / 1000
        self.first_timeout = self.header_timeout  # for a connection to bring the beginning of its first request
        self.body_timeout = listener.body_timeout_in_millis / 1000
        self.idle_timeout = listener.idle_timeout_in_millis / 1000
        self.half_close = listener.half_close
        self.proxy_protocol = listener.proxy_protocol
        self.always_keep = listener.keep_alive == "ALWAYS"
        self.keeps = listener.keep_alive in {"AUTO", "ALWAYS"}  # false too once the gateway drains
        self.drains = False
        self.trusted = TrustedProxies(listener.trusted_proxies)
        stopped = own_names | {name.lower().encode() for name in settings.forwarding.identity_headers}
        # Many backends read "_" as "-", so a name with either stops both; `fields.Lines` sees to the other way round.
        stopped |= {name.replace(b"_", b"-") for name in stopped}
        kinds = fields.REQUEST_KINDS | dict.fromkeys(stopped, fields.STOPPED)
        certificate_header = settings.mutual_tls.certificate_header_name
        if certificate_header:
            kinds[certificate_header.lower().encode()] = fields.TRUSTED_ONLY
        if settings.forwarding.request_id_header:
            kinds[settings.forwarding.request_id_header.lower().encode()] = fields.REQUEST_ID
        self.kinds = fields.Lines(kinds)
        self.proof = Proof()
        self.known: KnownHeads[RequestFields] = KnownHeads()
        self.count_idle_closed = counter("connections_idle_closed")
        self.count_used_up = counter("connections_used_up")
        self.count_proxy_error = counter("proxy_protocol_errors")
        self.count_pause = counter("pipelining_pauses")

    def begin_drain(self) -> None:
        """From now on every answer is the last on its connection, and new connections have little time to say something."""
        self.keeps = False
        self.drains = True
        self.first_timeout = min(self.first_timeout, FIRST_REQUEST_SECONDS)

    @property
    def connections(self) -> int:
        return len(self.watch.members)
