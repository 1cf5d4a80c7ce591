"""What a million revocations cost: microseconds of the stage, and the memory of a gateway that knows them.

Run with `python benchmarks/revocations.py`; the first part is in process, best of several rounds, the second a real gateway.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from harness.backend import Backend
from harness.credentials import mint
from harness.descriptions import BACKEND, describe
from harness.process import GatewayProcess
from harness.revoking import measure_memory
from microgate.plan.model import Security
from microgate.runtime.exchange import Consumer
from microgate.runtime.security.refusals import Refusals
from microgate.runtime.security.revocation import stage
from microgate.runtime.security.revocation.table import FOREVER, Entry, WritableTable, region_size
from microgate.runtime.shared_memory import make_region

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES = 1_000_000
ROUNDS = 15
CALLS = 20_000


def best(action: Callable[[], object], count: int) -> float:
    """The least microseconds of CPU of one of `count` steps, over all rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        action()
        found.append((time.process_time() - started) / count * 1e6)
    return min(found)


def linked() -> tuple[Callable[..., object], stage.Revocations, WritableTable]:
    """The stage over a table with all entries."""
    region = make_region("benchmark", region_size(ENTRIES))
    written = WritableTable(region, ENTRIES)
    for _ in range(ENTRIES - 1):
        written.add(Entry(os.urandom(16), FOREVER), 0, 0)
    revocations = stage.Revocations(region)
    context = SimpleNamespace(revocations=revocations, refusals=lambda schemes: Refusals(schemes, wso2=False))
    check = stage.link(context, SimpleNamespace(security=Security(schemes=("jwt",))))
    assert check is not None
    return check, revocations, written


def main() -> None:
    check, _, written = linked()
    consumer = Consumer("ann", "jwt")
    consumer.claims = {"iss": "https://issuer.example", "jti": "one", "sub": "ann", "azp": "shop"}
    stage.mark(consumer, b"head.body.signature")
    exchange = SimpleNamespace(consumer=consumer)

    def cleared() -> None:
        for _ in range(CALLS):
            check(exchange)

    def looked_up() -> None:
        for _ in range(CALLS):
            written.turn()
            check(exchange)

    def nothing() -> None:
        for _ in range(CALLS):
            pass

    idle = best(nothing, CALLS)
    print(f"a caller who was cleared          {best(cleared, CALLS) - idle:6.3f} us a request")
    print(
        f"after something new was revoked   {best(looked_up, CALLS) - idle:6.3f} us once, {len(consumer.revocation_keys)} digests"
    )
    with tempfile.TemporaryDirectory() as folder, Backend() as backend:
        description = describe(["/a"], secured=True).replace(BACKEND, backend.url)
        before, after, seconds = measure_memory(GatewayProcess, Path(folder), description, ENTRIES)
        print(
            f"a gateway of two workers          {before / 1024:6.1f} MB, with {ENTRIES} entries {after / 1024:6.1f} MB"
        )
        print(f"until they are all in force       {seconds:6.1f} s; a token of {len(mint())} bytes is refused then")


if __name__ == "__main__":
    main()
