"""How many lines of an access log `microgate simulate` takes in a second of one core, with three limits at each request.

Run with `python benchmarks/simulate.py`; the log is made first, and the time that counts is that of the processor.
"""

from __future__ import annotations

import io
import random
import time

from microgate.plan.model import Allowance, Api, Operation, Plan, Policy, Quota
from microgate.runtime.observability.log_reading import Reader
from microgate.runtime.simulation import Simulation
from microgate.settings.model import Settings

LINES = 100_000
ROUNDS = 12
GOAL = 100_000  # lines a second
LINE = (
    '{"time":"2026-01-05T%02d:%02d:%02d.%03dZ","request_id":"019a0000-0000-7000-8000-%012d",'
    '"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","client":"192.0.2.%d","method":"GET",'
    '"path":"/shop/items/%d","route":"/shop/items/{id}","api":"shop","version":"1.0.0","operation_id":"item","status":200,'
    '"reason":"","decided_by":"backend","response_flag":"-","upstream":"127.0.0.1:9090","bytes_in":0,"bytes_out":123,'
    '"duration_ms":1.234,"upstream_ms":0.900,"gateway_ms":0.300,"consumer":"user%d","application":"%d",'
    '"application_tier":"Small","subscription_tier":"Gold","limit_level":"application","limit_policy":"Small",'
    '"limit_verdict":"admitted","limit_remaining":17,"user_agent":"curl/8.1","protocol":"HTTP/1.1"}\n'
)


def plan() -> Plan:
    counts = {("resource", "Many"): 200_000, ("subscription", "Gold"): 20_000, ("application", "Small"): 5_000}
    policies = tuple(Policy(level, name, Allowance(Quota(count, 60))) for (level, name), count in counts.items())
    item = Operation("item", "GET", "/items/{id}", tier="Many")
    api = Api("shop-id", "shop", "1.0.0", "/shop", "shop.yaml", (item,))
    return Plan("shop", "0", (api,), (), policies)


def log() -> bytes:
    """5,000 requests a second of 2,000 users, some of whom ask far more than others."""
    dice = random.Random(1)
    lines = []
    for number in range(LINES):
        second, place = divmod(number // 5, 1_000)
        user = int(dice.paretovariate(0.5)) % 2_000
        clock = (second // 3_600, second // 60 % 60, second % 60, place)
        lines.append(LINE % (*clock, number, user % 256, user, user, user % 50))
    return "".join(lines).encode()


def main() -> None:
    text = log()
    best = 0.0
    for _ in range(ROUNDS):
        simulation, reader = Simulation(plan(), Settings()), Reader()
        started = time.process_time()
        for batch in reader.batches([io.BytesIO(text)]):
            simulation.run(batch)
        best = max(best, LINES / (time.process_time() - started))
    refused = sum(finding.verdicts["refused"] for finding in simulation.findings)
    print(f"{best:,.0f} lines a second, {refused / LINES:.0%} of them refused; goal: {GOAL:,}")


if __name__ == "__main__":
    main()
