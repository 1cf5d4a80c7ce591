"""What an API demands of the connection before any credential is read: HTTP, HTTPS, or a redirect from one to the other.

The scheme is the client's own, as trusted proxies tell it. Linked by assembly; certificates of clients get their seat here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault

if TYPE_CHECKING:
    from microgate.plan.model import Api
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Stage

HTTPS_PORT = 443


def link(api: Api, https_port: int) -> Stage | None:
    """The stage of an API that is not offered over both transports (WSO2 §3.7), or that sends clients from HTTP to HTTPS.

    `https_port` is where clients reach HTTPS.
    """
    if api.redirect_http:
        suffix = b"" if https_port == HTTPS_PORT else b":%d" % https_port

        def redirect(exchange: Exchange) -> Fault | None:
            if exchange.scheme == "https":
                return None
            # The Host field was proved by the protocol; without one there is nowhere to send the client.
            host = (
                exchange.authority.partition(b"]")[0] + b"]"
                if exchange.authority.startswith(b"[")
                else (exchange.authority.partition(b":")[0])
            )
            if not host:
                return Fault(faults.TRANSPORT)
            return Fault(faults.HTTPS_REQUIRED, headers=((b"Location", b"https://" + host + suffix + exchange.target),))

        return redirect
    offered = frozenset(api.transports)
    if offered >= {"http", "https"}:
        return None

    def demand(exchange: Exchange) -> Fault | None:
        return None if exchange.scheme in offered else Fault(faults.TRANSPORT)

    return demand
