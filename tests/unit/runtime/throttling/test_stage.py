"""The stage of limits: what a worker remembers of callers and keys, however many come and at however many operations."""

from __future__ import annotations

import tracemalloc

import pytest

from microgate.plan.model import Allowance, Api, Operation, Plan, Policy, Quota, Security
from microgate.runtime.throttling import stage
from microgate.runtime.throttling.context import ThrottlingContext
from microgate.settings.model import Settings

ALLOWANCE = Allowance(quota=Quota(count=1_000, window_s=86_400))
NOBODY = Policy("subscription", "Unauthenticated", ALLOWANCE)
BY_HEADER = Policy("custom", "ByHeader", ALLOWANCE, key_template="$header.x-a")
OPERATIONS = 20
CALLERS = 250
REMEMBERED = 500
ENOUGH_BYTES = 2 << 20  # for the counters of twice as many, not for those of 5,000


def stages(policy):
    security = Security(opened_by="x-wso2-disable-security")
    operations = tuple(Operation(f"op{number}", "GET", f"/{number}", security) for number in range(OPERATIONS))
    api = Api("api_1", "pets", "1.0", "/pets", "pets.yaml", operations)
    plan = Plan(project="", engine="", apis=(api,), upstreams=(), policies=(policy,))
    context = ThrottlingContext(plan, Settings(), None, 0)
    return [stage.link(context, api, operation) for operation in operations]


@pytest.mark.parametrize("policy", [NOBODY, BY_HEADER])
def test_what_is_remembered_of_callers_does_not_grow_with_the_operations(exchange_of, policy, monkeypatch):
    monkeypatch.setattr("microgate.runtime.throttling.strangers.MAX_STRANGERS", REMEMBERED)
    monkeypatch.setattr("microgate.runtime.throttling.choosing.custom.MAX_REMEMBERED", REMEMBERED)
    asked = stages(policy)
    tracemalloc.start()
    for operation, ask in enumerate(asked):
        for number in range(CALLERS):
            name = f"{operation}-{number}" if policy is BY_HEADER else number
            exchange = exchange_of(
                b"X-A: %b" % str(name).encode(), client=f"10.0.{number >> 8}.{number & 255}", kept=True
            )
            assert ask(exchange) is None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < ENOUGH_BYTES


@pytest.mark.parametrize("policy", [NOBODY, BY_HEADER])
def test_a_caller_is_one_at_all_operations_whatever_is_forgotten_meanwhile(exchange_of, policy):
    asked = stages(policy)
    left = []
    for ask in asked:
        exchange = exchange_of(b"X-A: 1", kept=True)
        assert ask(exchange) is None
        left.append(exchange.quota[1])
        if len(left) % 7 == 0:
            ask._context.table.cells[0] += 1  # the epoch turns, as after a sweep
    assert left == list(range(999, 999 - OPERATIONS, -1))
