"""In-process microseconds per request of what this gateway sees of each: ids, metrics, and the access-log line.

Best of many rounds on one core, without sockets. Run it as `python benchmarks/observability.py`.
"""

from __future__ import annotations

import asyncio
import gc
from time import monotonic, process_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from microgate.plan.model import Api, Operation, Plan
from microgate.runtime.exchange import Consumer, Exchange
from microgate.runtime.observability import identify
from microgate.runtime.observability.accounting import Accounting
from microgate.runtime.observability.metrics import region_size, rows
from microgate.settings.model import AccessLog, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 30, 5_000
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PLAN = Plan("shop", "0", (Api("i", "Pets", "1.0", "/pets/1", "f", (Operation("getPet", "GET", "/pet/{id}"),)),), ())


def microseconds(step: Callable[[], object]) -> float:
    """Of one call: the best round, less what the loop itself takes."""
    return _best(step) - _best(_nothing)


def _best(step: Callable[[], object]) -> float:
    best = 1e9
    for _ in range(ROUNDS):
        began = process_time()
        for _ in range(CALLS):
            step()
        best = min(best, process_time() - began)
    return best / CALLS * 1e6


def _nothing() -> None:
    pass


def served_exchange() -> Exchange:
    """A request as it is when its answer has been sent: 3 ms, of which the backend took 2."""
    peer: Any = SimpleNamespace(peer="192.0.2.7", scheme="https", trusted=False, forwarded=b"")
    exchange = Exchange(peer, "GET", b"/pets/1/pet/12345", [])
    exchange.started = monotonic() - 0.003
    exchange.upstream_started = exchange.started + 0.0002
    exchange.answer_head_at = exchange.started + 0.0022
    exchange.status = 200
    exchange.bytes_out = 1024
    exchange.upstream_name = "pets_prod"
    exchange.user_agent = b"curl/8.1.2"
    exchange.consumer = Consumer("alice@carbon.super", "jwt")
    return exchange


async def measure() -> dict[str, float]:
    exchange = served_exchange()
    stage = identify.link(Settings())
    found = {"ids, new trace": microseconds(lambda: stage(exchange))}
    exchange.traceparent = TRACE
    found["ids, incoming trace"] = microseconds(lambda: stage(exchange))
    for form in ("off", "json", "combined"):
        region = bytearray(region_size(PLAN, 1))
        channel = SimpleNamespace(send=bool)
        loop = asyncio.get_running_loop()
        services: Any = SimpleNamespace(loop=loop, channel=channel, slot=0, workers=1, metrics=region)
        accounting = Accounting(PLAN, Settings(access_log=AccessLog(format=form)), services)
        account, begin = accounting.link(rows(PLAN)[1]), accounting.begin

        def step(account: Any = account, begin: Any = begin) -> None:
            begin()
            exchange.started = monotonic() - 0.003
            exchange.upstream_started = exchange.started + 0.0002
            exchange.answer_head_at = exchange.started + 0.0022
            account(exchange)

        found[f"metrics, access log {form}"] = microseconds(step)
        await accounting.close()
    return found


def main() -> None:
    gc.disable()
    print("| what | microseconds per request |")
    print("|---|---|")
    for name, cost in asyncio.run(measure()).items():
        print(f"| {name} | {cost:.2f} |")


if __name__ == "__main__":
    main()
