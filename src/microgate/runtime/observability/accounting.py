"""The end of every exchange: measured once, counted in shared memory, written to the access log.

Linked by assembly as an end hook of every operation, the unrouted one included, so that a request that was refused or malformed
leaves the same trace as one that was served.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

from microgate.runtime.observability import access_log
from microgate.runtime.observability.log_sink import LogSink
from microgate.runtime.observability.metrics import Metrics

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.control import Channel
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.observability.metrics import Region
    from microgate.runtime.pipeline import EndHook, Labels
    from microgate.settings.model import Settings


class Services(Protocol):
    """What a worker has for the accounting."""

    @property
    def loop(self) -> AbstractEventLoop: ...
    @property
    def channel(self) -> Channel: ...
    @property
    def slot(self) -> int: ...
    @property
    def metrics(self) -> Region:
        """Shared memory, of `metrics.region_size` bytes."""


class Accounting:
    """Made once per worker, after the fork; raises SettingsError for a log format that there is not.

    `begin` is called once for each exchange, `link` gives an operation the end hook that ends it.
    """

    def __init__(self, plan: Plan, settings: Settings, services: Services) -> None:
        self.metrics = Metrics(services.metrics, plan, services.slot)
        self._format = access_log.choose(access_log.wanted(settings).format)
        self._sink = LogSink(services.loop, services.channel, self.metrics)
        self.begin = self.metrics.beginner()

    async def close(self) -> None:
        """Hand over the last lines, before the worker ends."""
        await self._sink.close()

    def link(self, labels: Labels) -> EndHook:
        record = self.metrics.recorder(labels.index)
        count_fault = self.metrics.fault_counter(labels.index)
        line = self._format.link(labels) if self._format is not None else None
        write: Callable[[bytes], None] = self._sink.write

        def account(exchange: Exchange) -> None:
            ended = monotonic()
            started, asked, answered = exchange.started, exchange.upstream_started, exchange.answer_head_at
            total_us = int((ended - started) * 1_000_000)
            if asked:
                # The upstream's share ends with the head of its answer: how fast a body flows is often up to the client.
                upstream_us = int(((answered or ended) - asked) * 1_000_000)
                gateway_us = int((asked - started) * 1_000_000)
            else:
                upstream_us, gateway_us = -1, total_us
            record(exchange.status, total_us, upstream_us, gateway_us, exchange.bytes_in, exchange.bytes_out)
            if exchange.fault is not None:
                count_fault(exchange.fault.kind.label)
            if line is not None:
                write(line(exchange, total_us, upstream_us, gateway_us))

        return account
