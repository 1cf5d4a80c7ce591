"""The process that serves: one loop, one gateway, one slot of every listener, one generation all its life.

Assembly makes the gateway, accepting.py its connections; here is how they begin and end. Started by the supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from microgate.runtime import lifeline
from microgate.runtime.accepting import Acceptor, Entrance
from microgate.runtime.channel import WorkerChannel
from microgate.runtime.control import Greeting, Hello
from microgate.runtime.event_loop import run
from microgate.runtime.lifeline import Orders
from microgate.runtime.observability.metrics import Metrics
from microgate.runtime.security.certificates import client_trust
from microgate.runtime.security.followed_files import FollowedFiles

if TYPE_CHECKING:
    import mmap
    import socket
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.control import Channel
    from microgate.runtime.lifeline import Lifeline
    from microgate.runtime.listeners import Listeners
    from microgate.runtime.regions import Regions
    from microgate.runtime.tls import ServerTls
    from microgate.settings.model import Settings

log = logging.getLogger("microgate.worker")

LOOK_SECONDS = 0.01  # how often a draining worker looks whether it is done
FAREWELL_SECONDS = 5.0  # for clients to take the rest of their last answer and to agree to the end of TLS
HANDSHAKE_SECONDS = 1.0  # a draining worker lets handshakes finish that have begun
REFRESH_SECONDS = 1.0  # how often certificate files are looked at and the open connections are shown
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
CLOSING_SECONDS = 0.25  # what the gateway may take to hand over its last log lines


@dataclass(slots=True)
class Services:
    """What a worker has for its gateway."""

    slot: int
    workers: int
    loop: asyncio.AbstractEventLoop
    channel: Channel
    metrics: mmap.mmap
    max_connections: int
    https_port: int | None  # where clients reach HTTPS; None where they do not
    regions: Regions


class Gateway(Protocol):
    """What a worker needs of assembly.Gateway."""

    @property
    def in_flight(self) -> int: ...
    @property
    def connections(self) -> int: ...
    def connection(self, scheme: str) -> asyncio.Protocol: ...
    def begin_drain(self) -> None: ...
    def close(self) -> Any: ...


if TYPE_CHECKING:
    Assemble = Callable[[Plan, Settings, Services], Gateway]


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker works with, made by the supervisor before the fork."""

    slot: int
    workers: int
    plan: Plan
    settings: Settings
    listeners: Listeners
    tls: ServerTls | None
    metrics: mmap.mmap
    max_connections: int
    assemble: Assemble
    regions: Regions


class Worker:
    """One gateway and its acceptor in the running loop."""

    def __init__(self, post: Post, channel: Channel) -> None:
        self._post = post
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        services = Services(
            slot=post.slot,
            workers=post.workers,
            loop=self._loop,
            channel=channel,
            metrics=post.metrics,
            max_connections=post.max_connections,
            https_port=post.listeners.port("https"),
            regions=post.regions,
        )
        self._gateway = post.assemble(post.plan, post.settings, services)
        self._counted = counted = Metrics(post.metrics, post.plan, post.slot)
        self._acceptor = Acceptor(
            self._gateway,
            post.max_connections,
            counted.counter("connections_accepted"),
            counted.counter("connections_refused"),
        )
        self._authorities: FollowedFiles[Any] | None = None
        if post.tls is not None:
            post.tls.watch_handshakes(
                partial(counted.counter("tls_handshake_errors"), 1),
                partial(counted.counter("client_certificates_refused"), 1),
            )
            self._authorities = self._ask_clients(post.tls)
        self._show_connections = counted.gauge("connections")
        self._shown = 0
        self._timer: asyncio.TimerHandle | None = None
        self._serving = False
        channel.subscribe(Greeting, self._on_greeting)

    def _ask_clients(self, tls: ServerTls) -> FollowedFiles[Any] | None:
        """Ask clients for certificates where an API uses them, and know of authorities that come later."""
        settings = self._post.settings
        demand = client_trust.demand(self._post.plan, settings)
        tls.ask_clients(demand)
        if demand is None:
            return None
        required = demand.required

        def take(found: dict[str, bytes]) -> None:
            tls.ask_clients(client_trust.Demand(required, b"".join(found.values())))

        load = partial(client_trust.proved_authorities, settings)
        return FollowedFiles("list of authorities for handshakes", client_trust.files(settings), load, take)

    async def start(self) -> None:
        for listener in self._post.listeners.traffic:
            for sock in listener.slots[self._post.slot]:
                if listener.scheme in ("https", "token"):
                    self._add_tls(sock, listener.scheme)
                else:
                    self._acceptor.add(sock, listener.scheme, Entrance)
        # The certificate is as the supervisor read it, which may be long ago.
        self.refresh()
        # What lives by now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        await self._acceptor.open()
        self._serving = True
        self._say_hello()

    def _add_tls(self, sock: socket.socket, scheme: str) -> None:
        configured = self._post.settings.listener
        entrance: Entrance
        if configured.proxy_protocol:
            from microgate.runtime.protocols.peers import TrustedProxies
            from microgate.runtime.proxied_tls import ProxiedEntrance

            entrance = proxied = self._acceptor.add(sock, scheme, ProxiedEntrance)
            count_error = self._counted.counter("proxy_protocol_errors")
            proxied.trust(TrustedProxies(configured.trusted_proxies), count_error)
        else:
            entrance = self._acceptor.add(sock, scheme, Entrance)
        assert self._post.tls is not None
        entrance.secure(
            self._post.tls.context,
            handshake_seconds=configured.header_timeout_in_millis / 1000,
            # What a slow client has not taken yet when we close is sent on for so long.
            shutdown_seconds=max(1.0, configured.body_timeout_in_millis / 1000),
        )

    def _on_greeting(self, message: Greeting) -> None:
        if self._serving:
            self._say_hello()

    def _say_hello(self) -> None:
        self._channel.send(Hello(self._post.slot, os.getpid()))

    def refresh(self) -> None:
        """Look at the certificate files now, and from now on at intervals."""
        if self._timer is not None:
            self._timer.cancel()
        self._look_around(settled=True)

    def _look_around(self, *, settled: bool = False) -> None:
        if self._post.tls is not None:
            self._post.tls.refresh(settled=settled)
        connections = self._gateway.connections
        self._show_connections(connections - self._shown)
        self._shown = connections
        self._timer = self._loop.call_later(REFRESH_SECONDS, self._look_around)

    @property
    def _handshakes(self) -> int:
        return self._post.tls.handshakes if self._post.tls is not None else 0

    async def drain(self, *, successor: bool) -> None:
        """Stop accepting, let what is in flight finish within the grace period, then end what is left.

        With a `successor` the listeners live on, and so does what waits in their queues.
        """
        loop = self._loop
        deadline = loop.time() + self._post.settings.runtime.grace_period_in_millis / 1000
        await self._acceptor.close(sockets_stay=successor)
        gateway = self._gateway
        gateway.begin_drain()
        handshakes_until = loop.time() + HANDSHAKE_SECONDS
        farewell_until = loop.time() + FAREWELL_SECONDS
        while (now := loop.time()) < deadline:  # there is no event for what is waited for
            if gateway.connections:
                if gateway.in_flight:
                    farewell_until = now + FAREWELL_SECONDS
                elif now >= farewell_until:
                    break
            elif not self._handshakes or now >= handshakes_until:
                break
            await asyncio.sleep(LOOK_SECONDS)
        if gateway.in_flight:
            log.warning("the grace period is over, %d requests are cut off", gateway.in_flight)
        await self.close()

    async def close(self) -> None:
        """End everything now; the last log lines are handed over."""
        if self._authorities is not None:
            self._authorities.close()
        if self._timer is not None:
            self._timer.cancel()
        await self._acceptor.close(sockets_stay=True)
        closing = self._gateway.close()
        if inspect.isawaitable(closing):
            with suppress(TimeoutError):
                await asyncio.wait_for(closing, CLOSING_SECONDS)


def serve(post: Post, end: socket.socket, line: Lifeline) -> None:
    """The life of a worker's process: to an order, or to the death of the supervisor."""
    _die_with_supervisor()
    run(_live(post, end, line))


def _die_with_supervisor() -> None:
    """Have the kernel end this process with its parent: a loop that is stuck would not read the end of the lifeline."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))


async def _live(post: Post, end: socket.socket, line: Lifeline) -> None:
    loop = asyncio.get_running_loop()
    orders = Orders(line)
    worker = Worker(post, WorkerChannel(loop, end))
    await worker.start()
    line.tell(lifeline.SERVING)
    while (order := await orders.get()) == lifeline.REFRESH:
        worker.refresh()
    if order not in {lifeline.DRAIN, lifeline.RETIRE}:
        await worker.close()
        return
    finishing = loop.create_task(worker.drain(successor=order == lifeline.RETIRE))
    ending = loop.create_task(_hear_the_end(orders))
    await asyncio.wait({finishing, ending}, return_when=asyncio.FIRST_COMPLETED)
    if not finishing.done():
        finishing.cancel()
        await worker.close()


async def _hear_the_end(orders: Orders) -> None:
    """Wait for the order that cuts a drain short, or for the supervisor's death."""
    while await orders.get() not in {b"", lifeline.STOP}:
        pass
