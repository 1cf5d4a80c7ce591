"""The connections to one endpoint: reused newest first, bounded, and never handed to a request they could harm.

`forward.py` asks it to serve exchanges; `protocols/http1_client.py` is what it pools.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.faults import Fault
from microgate.runtime.protocols.deadlines import NEVER
from microgate.runtime.protocols.http1_client import IDEMPOTENT, BoundedConnection, Bounds, ClientConnection
from microgate.runtime.upstreams.connect import ConnectError, Connector, ConnectTimeoutError

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.protocols.deadlines import Watch
    from microgate.runtime.protocols.http1_client import Head

    # From a metric's name to the function that adds to it.
    Meter = Callable[[str], Callable[[int], None]]

log = logging.getLogger("microgate.upstreams")


class PoolLimits:
    """Bounds of one pool; `max_active` counts connections in use or being made, times are seconds."""

    __slots__ = ("idle_timeout", "max_active", "max_idle", "wait")

    def __init__(self, *, max_active: int, max_idle: int, wait: float, idle_timeout: float) -> None:
        self.max_active = max_active if max_active >= 0 else 1 << 62
        self.max_idle = max_idle
        self.wait = wait
        self.idle_timeout = idle_timeout


class Counts:
    """What the pools of a worker count, see `observability.metrics`."""

    __slots__ = ("failure", "open", "opened", "resend", "wait")

    def __init__(self, gauge: Meter, counter: Meter) -> None:
        self.open = gauge("upstream_connections")
        self.opened = counter("upstream_connections_opened")
        self.failure = counter("upstream_connect_failures")
        self.wait = counter("upstream_waits")
        self.resend = counter("upstream_resends")


class _Waiting:
    """An exchange that waits for a connection."""

    __slots__ = ("exchange", "head", "until")

    def __init__(self, exchange: Exchange, head: Head, until: float) -> None:
        self.exchange = exchange
        self.head = head
        self.until = until


class Pool:
    """Connections to one endpoint. `name` is how logs and metrics call it."""

    def __init__(
        self,
        *,
        name: str,
        connector: Connector,
        bounds: Bounds,
        limits: PoolLimits,
        counts: Counts,
        watch: Watch,
    ) -> None:
        self.name = name
        self._connector = connector
        self._bounds = bounds
        self._kind = ClientConnection if bounds.max_body_bytes < 0 else BoundedConnection
        self._limits = limits
        self._counts = counts
        self._watch = watch
        self._idle: list[ClientConnection] = []
        self._active = 0
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[Task[None]] = set()
        self.deadline = NEVER
        self.closed = False
        watch.add(self)

    @property
    def active(self) -> int:
        return self._active

    @property
    def idle(self) -> int:
        return len(self._idle)

    def serve(self, exchange: Exchange, head: Head) -> None:
        """Send the exchange's request on a pooled connection, or on a new one, or when one becomes free."""
        exchange.upstream_name = self.name
        idle = self._idle
        safe = exchange.method in IDEMPOTENT
        while idle:
            connection = idle.pop()
            # A request that must not be sent twice checks that the backend has not hung up meanwhile.
            if connection.transport.is_closing() or (not safe and connection.is_gone()):
                connection.transport.abort()
                continue
            self._active += 1
            connection.active = True
            connection.start(exchange, head)
            return
        self._open_or_wait(exchange, head)

    def retry(self, exchange: Exchange, head: Head) -> None:
        """Serve again, on a connection that is certainly fresh."""
        self._counts.resend(1)
        log.info("sent again on a fresh connection: %s", self.name)
        self._open_or_wait(exchange, head)

    def _open_or_wait(self, exchange: Exchange, head: Head) -> None:
        # The backend is being asked from now on: what it takes to reach it is no time of the gateway's own.
        exchange.upstream_started = exchange.upstream_started or monotonic()
        if self._active < self._limits.max_active:
            self._active += 1
            task = asyncio.create_task(self._open(exchange, head))
            self._tasks.add(task)
            exchange.task = task
            task.add_done_callback(self._on_opened)
        else:
            self._counts.wait(1)
            self._waiting.append(_Waiting(exchange, head, monotonic() + self._limits.wait))
            if self.deadline == NEVER:
                self.deadline = self._waiting[0].until

    async def _open(self, exchange: Exchange, head: Head) -> None:
        """Make a connection for an exchange. The connection is used by another one where its own is gone."""
        try:
            connection = await self._connector.connect(lambda: self._kind(self, self._bounds))
        except ConnectError as error:
            self._active -= 1
            exchange.task = None
            self._counts.failure(1)
            log.warning("no connection to %s: %s", self.name, error)
            kind = faults.BACKEND_TIMEOUT if isinstance(error, ConnectTimeoutError) else faults.BACKEND_CONNECT
            exchange.fail(Fault(kind, error.reason))
            self._serve_waiting()
            return
        exchange.task = None
        if connection.transport.is_closing():
            # The backend hung up before the connection was handed over; nobody else will hear of it.
            self._active -= 1
            exchange.fail(Fault(faults.BACKEND_CLOSED))
            self._serve_waiting()
            return
        self._watch.add(connection)
        self._counts.opened(1)
        self._counts.open(1)
        if exchange.done:
            self.on_ready(connection)
        else:
            since = exchange.upstream_started
            connection.start(exchange, head)
            exchange.upstream_started = since

    def _on_opened(self, task: Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            # Its client is gone, perhaps before the task took its first step: only here the slot is seen to be free.
            self._active -= 1
            self._serve_waiting()

    # http1_client.Owner

    def on_ready(self, connection: ClientConnection) -> None:
        self._active -= 1
        connection.active = False
        if self.closed or (len(self._idle) >= self._limits.max_idle and not self._waiting):
            connection.transport.abort()
            return
        connection.idle_since = monotonic()
        self._idle.append(connection)
        if self._waiting:
            self._serve_waiting()

    def on_closed(self, connection: ClientConnection) -> None:
        if connection not in self._watch.members:
            return  # lost while it was made, which `_open` hears of
        self._watch.discard(connection)
        self._counts.open(-1)
        if connection.active:
            self._active -= 1
            self._serve_waiting()
        elif connection in self._idle:
            self._idle.remove(connection)

    def _serve_waiting(self) -> None:
        while self._waiting and (self._idle or self._active < self._limits.max_active):
            waiting = self._waiting.popleft()
            exchange = waiting.exchange
            if not exchange.done:
                since = exchange.upstream_started
                self.serve(exchange, waiting.head)
                exchange.upstream_started = since

    def on_deadline(self) -> None:
        """Exchanges have waited too long for a connection."""
        now = monotonic()
        while self._waiting and self._waiting[0].until <= now:
            exchange = self._waiting.popleft().exchange
            exchange.fail(Fault(faults.BACKEND_BUSY))
        self.deadline = self._waiting[0].until if self._waiting else NEVER

    def on_look(self) -> None:
        """Close connections that nobody has used for long; the oldest are first."""
        oldest = monotonic() - self._limits.idle_timeout
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).transport.abort()

    def close(self) -> None:
        self.closed = True
        for connection in self._idle:
            connection.transport.abort()
        for task in self._tasks:
            task.cancel()
