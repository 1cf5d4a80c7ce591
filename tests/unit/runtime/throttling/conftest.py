"""Exchanges as protocols and authentication leave them, for the stages of limits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from microgate.runtime.exchange import Application, Consumer, Exchange


@pytest.fixture
def exchange_of():
    """Makes an exchange from what a test says of the request; `kept` gives it a head that is kept."""

    def make(
        *lines: bytes, target=b"/pets/1/pet/7", client="192.0.2.7", claims=None, user="", application=None, kept=False
    ):
        peer = SimpleNamespace(peer=client, scheme="https", trusted=False, forwarded=b"")
        exchange = Exchange(peer, "GET", target, list(lines))
        exchange.path = target.partition(b"?")[0]
        if kept:
            exchange.derived = {}
        if claims is not None or user or application is not None:
            consumer = exchange.consumer = Consumer(user, "jwt")
            consumer.claims = claims or {}
            consumer.application_details = None if application is None else Application(**application)
        return exchange

    return make
