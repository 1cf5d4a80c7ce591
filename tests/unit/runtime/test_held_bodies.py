"""Bodies that are held for several reasons flow again when the last of them is gone, and not before."""

from __future__ import annotations

import itertools

import pytest

from microgate.runtime.exchange import HELD_BODY_BYTES, HELD_BY_PEER, HELD_BY_RATE, HELD_BY_STAGES, Exchange


class Side:
    """Either side of an exchange, as far as bodies go."""

    peer = scheme = ""
    trusted = False
    forwarded = b""

    def __init__(self):
        self.flows = True
        self.late_until = 0.0

    def pause(self):
        self.flows = False

    def resume(self):
        self.flows = True

    pause_body = pause_answer = pause
    resume_body = resume_answer = resume

    def send_body(self, chunk):
        pass

    def expect_late(self, until):
        self.late_until = until


@pytest.fixture
def sides():
    client, backend = Side(), Side()
    exchange = Exchange(client, "POST", b"/", [])
    return exchange, client, backend


@pytest.mark.parametrize("order", list(itertools.permutations([HELD_BY_PEER, HELD_BY_STAGES, HELD_BY_RATE])))
def test_a_body_flows_once_nothing_holds_it(sides, order):
    exchange, client, _ = sides
    for why in order:
        exchange.hold_body(why)
        exchange.hold_body(why)
    found = []
    for why in order:
        exchange.release_body(why)
        found.append(client.flows)
    assert found == [False, False, True]


@pytest.mark.parametrize("order", list(itertools.permutations([HELD_BY_PEER, HELD_BY_RATE])))
def test_an_answer_flows_once_nothing_holds_it(sides, order):
    exchange, client, backend = sides
    exchange.upstream = backend
    for why in order:
        exchange.hold_answer(why)
    found = []
    for why in order:
        exchange.release_answer(why)
        exchange.release_answer(why)
        found.append(backend.flows)
    assert found == [False, True]
    assert client.flows


def test_a_body_that_stages_held_is_still_held_by_its_pace(sides):
    exchange, client, backend = sides
    exchange.dues = type("Dues", (), {"deadline": 7.0, "on_body": lambda _: None})()
    exchange.on_request_body(b"x" * (HELD_BODY_BYTES + 1))
    exchange.hold_body(HELD_BY_RATE)
    exchange.attach(backend)
    assert not client.flows
    assert backend.late_until == 7.0  # or it would take the backend for idle
    exchange.release_body(HELD_BY_RATE)
    assert client.flows
