"""Gateways that count together in one store, and traffic that is over their limits: who was admitted, by window."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

from harness.credentials import bearer
from harness.descriptions import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.process import GatewayProcess

TITLE = "shop"
API = describe({"/a": {"get": {"x-wso2-throttling-tier": "Shared"}}}, base="/shop", title=TITLE, secured=True)


def policies(policy: str) -> str:
    """policies.yaml with one resource policy, which counts all callers together."""
    return f"resourcePolicies:\n  - Shared: {policy}\n"


def store_settings(urls: Sequence[str], more: str = "", workers: int = 1) -> str:
    listed = ", ".join(f'"{url}"' for url in urls)
    return f"[runtimeConfig]\nworkers = {workers}\n[throttlingConfig.store]\nurls = [{listed}]\n{more}"


def start(
    gateway: Callable[..., GatewayProcess], policy: str, urls: Sequence[str], more: str = "", workers: int = 1
) -> GatewayProcess:
    """`gateway` is the fixture."""
    return gateway(API, files={"policies.yaml": policies(policy)}, settings=store_settings(urls, more, workers))


def token(tier: str = "Unlimited", application: str = "1") -> tuple[str, str]:
    """A token of the control plane, which brings its subscription along."""
    subscribed = {"name": TITLE, "version": "1.0.0", "subscriptionTier": tier, "publisher": "admin"}
    details = {"id": application, "name": f"app-{application}", "tier": "", "owner": "admin"}
    return bearer(sub="alice", application=details, subscribedAPIs=[subscribed])


def statuses(running: GatewayProcess, count: int) -> list[int]:
    """Of so many requests, one after the other on one connection."""
    header = token()
    with running.connect() as client:
        return [client.get("/shop/a", header).status for _ in range(count)]


LAYERS = """\
resourcePolicies:
  - Five: {count: 5, unitTime: 1, timeUnit: day, store: strict}
subscriptionPolicies:
  - Three: {count: 3, unitTime: 1, timeUnit: day, store: strict}
"""
LAYERED = describe({"/a": {"get": {"x-wso2-throttling-tier": "Five"}}}, base="/shop", title=TITLE, secured=True)


def start_layered(gateway: Callable[..., GatewayProcess], urls: Sequence[str], more: str = "") -> GatewayProcess:
    """With a limit of five for all and one of three for each subscription."""
    return gateway(LAYERED, files={"policies.yaml": LAYERS}, settings=store_settings(urls, more))


def _layered(running: GatewayProcess, application: str, count: int) -> list[int]:
    with running.connect() as client:
        return [client.get("/shop/a", token("Three", application)).status for _ in range(count)]


def uses_nothing_up(running: GatewayProcess) -> None:
    """What the subscription refuses leaves the operation's quota alone."""
    assert _layered(running, "1", 10) == [200] * 3 + [429] * 7
    assert _layered(running, "2", 3) == [200] * 2 + [429]


class Flood:
    """Requests at a steady rate, from several connections to several gateways: `with Flood(…) as flood`."""

    def __init__(self, gateways: Sequence[GatewayProcess], rate: float, connections: int = 4) -> None:
        """`rate` is of all together, in requests a second; `connections` are to each."""
        self.admitted: Counter[int] = Counter()  # by the second of the wall clock
        self.statuses: Counter[int] = Counter()
        self.slowest_s = 0.0
        self.failures: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        pause = len(gateways) * connections / rate
        self._threads = [
            threading.Thread(target=self._send, args=(running, pause, pause * number / connections))
            for running in gateways
            for number in range(connections)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def by_window(self, window_s: int) -> list[int]:
        """What was admitted in each window, as far as the moment of the answer says it."""
        found: Counter[int] = Counter()
        for second, count in self.admitted.items():
            found[second // window_s] += count
        return [found[number] for number in sorted(found)]

    def _send(self, running: GatewayProcess, pause: float, delay: float) -> None:
        header = token()
        try:
            with running.connect() as client:
                due = time.monotonic() + delay
                while not self._over.wait(max(0.0, due - time.monotonic())):
                    due += pause
                    begun = time.monotonic()
                    status = client.get("/shop/a", header).status
                    taken = time.monotonic() - begun
                    with self._lock:
                        self.statuses[status] += 1
                        self.admitted[int(time.time())] += status == 200
                        self.slowest_s = max(self.slowest_s, taken)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            self.failures.append(repr(error))
