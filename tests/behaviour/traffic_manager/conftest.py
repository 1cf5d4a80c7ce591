"""One broker for all tests of this folder, and shops: gateways of two workers under a traffic manager."""

from __future__ import annotations

import time

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.traffic_manager import TrafficManager
from harness.waiting import wait_until

TITLE = "Shop"
API = describe(["/a", "/b"], base="/shop", secured=True, title=TITLE)
OPEN = describe(["/x"], base="/open", title="Open")
WORKERS = "[runtimeConfig]\nworkers = 2\n"


class Shop:
    """A gateway and its traffic manager; `settings` go into [throttlingConfig], `lists` are the manager's."""

    def __init__(
        self, start, backend, broker, *, settings="", files=None, started=None, is_there=True, binary="false", **lists
    ):
        self.manager = TrafficManager(backend, broker, more=settings, binary=binary)
        for name, value in lists.items():
            setattr(self.manager, name, value)
        self.gateway = start(API, OPEN, settings=WORKERS + self.manager.settings, files=files, **started or {})
        if is_there:
            self.manager.is_heard(self.gateway)

    @staticmethod
    def token(user="alice", application="1", **claims):
        known = {"id": application, "name": f"app-{application}", "tier": "Large", "owner": "admin"}
        subscribed = [{"name": TITLE, "version": "1.0.0", "subscriptionTier": "Gold", "publisher": "admin"}]
        return bearer(sub=user, application=known, subscribedAPIs=subscribed, **claims)

    def answers(self, *headers, path="/shop/a", count=6):
        """Of several connections, so that each worker is among them."""
        found = set()
        for _ in range(count):
            with self.gateway.connect() as client:
                answer = client.get(path, *headers)
                found.add((answer.status, answer.fault))
        return found

    def becomes(self, outcome, *headers, path="/shop/a", seconds=5.0):
        """Wait for the outcome of all workers; how long it took."""
        begun = time.monotonic()
        wait_until(lambda: self.answers(*headers, path=path) == {outcome}, f"{outcome}", seconds=seconds)
        return time.monotonic() - begun


@pytest.fixture
def shop(gateway, backend, broker):
    def make(broker=broker, **options):
        return Shop(gateway, backend, broker, **options)

    return make
