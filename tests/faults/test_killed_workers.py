"""R32 with the real gateway under load: workers die by kill -9, and only what they had in hand is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

from harness.backend import echo
from harness.client import Client
from harness.descriptions import describe
from harness.messages import Ended
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.backend import Backend
    from harness.process import GatewayProcess

KILLS = 5
CLIENTS = 4


class Load:
    """Clients that ask over kept connections, and connect anew where one breaks; every request is accounted for."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._stopped = threading.Event()
        self.results: Counter[str] = Counter()
        self.longest_gap = 0.0
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def _run(self, number: int) -> None:
        client = self._gateway.connect()
        last = monotonic()
        sent = 0
        while not self._stopped.is_set():
            sent += 1
            tag = f"{number}-{sent}"
            try:
                answer = client.request("POST", "/a", body=tag.encode())
                # Never another client's answer, and never half of one that looks whole.
                assert answer.complete
                right = answer.status == 200 and answer.body == tag.encode()
                self.results["right" if right else f"wrong: {answer.start} {answer.body!r}"] += 1
                self.longest_gap = max(self.longest_gap, monotonic() - last)
                last = monotonic()
            except (Ended, OSError):
                self.results["lost"] += 1
                client.socket.close()
                client = self._gateway.connect()
        client.socket.close()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


def workers(gateway: GatewayProcess) -> list[int]:
    """The children of the supervisor; the steward is the first that it forks."""
    return sorted(set(gateway.processes()) - {gateway.pid})[1:]


def test_r32_killed_workers_lose_only_what_they_had_in_hand(gateway: Callable[..., GatewayProcess], backend: Backend):
    backend.script = echo
    running = gateway(describe({"/a": {"post": {}}}), settings="[runtimeConfig]\nworkers = 2\n")
    load = Load(running)
    for thread in load.threads:
        thread.start()
    family = set(running.processes())
    try:
        for kill in range(KILLS):
            before = load.results["right"]
            wait_until(lambda floor=before: load.results["right"] > floor + 50, "the load runs")
            victim = workers(running)[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(
                lambda gone=victim: gone not in (now := running.processes()) and len(now) == len(family),
                f"a successor after kill {kill}",
                seconds=1.0,
            )
    finally:
        load.stop()
    print(f"{dict(load.results)}, longest gap {load.longest_gap * 1000:.0f} ms")
    assert set(load.results) <= {"right", "lost"}
    assert load.results["lost"] <= KILLS * CLIENTS
    assert load.results["right"] > 250
    with Client(int(running.ready["admin"])) as client:
        assert client.get("/readyz", ("Connection", "close")).status == 200
    # What the dead had logged and handed over is there, and every line is whole.
    assert len(running.log_lines(load.results["right"] // 2)) >= load.results["right"] // 2


def test_a_killed_steward_costs_no_request_and_logging_goes_on(
    gateway: Callable[..., GatewayProcess], backend: Backend
):
    backend.script = echo
    running = gateway(describe({"/a": {"post": {}}}))
    load = Load(running)
    for thread in load.threads:
        thread.start()
    try:
        wait_until(lambda: load.results["right"] > 50, "the load runs")
        steward = min(set(running.processes()) - {running.pid})
        os.kill(steward, signal.SIGKILL)
        count = load.results["right"]
        wait_until(lambda: load.results["right"] > count + 50, "the load goes on")
        wait_until(lambda: steward not in running.processes() and len(running.processes()) == 3, "a new steward")
    finally:
        load.stop()
    assert set(load.results) == {"right"}
    total = sum(load.results.values())
    with running.connect() as client:
        assert client.get("/nowhere").status == 404
    wait_until(
        lambda: any(line["path"] == "/nowhere" for line in running.log_lines(total // 2)), "later lines are there"
    )
