"""Case 56 with the real gateway: restarts behind a balancer under load, and what a client sees of them."""

from __future__ import annotations

import random
import select
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest

from harness.client import Client
from harness.descriptions import BACKEND, describe
from harness.messages import Ended
from harness.process import GatewayProcess
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.backend import Backend


class Instance:
    """A gateway on a fixed port, which the balancer knows, and its readiness as the balancer last saw it."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        folder.mkdir()
        self.ports = _free_ports()
        settings = f"[listenerConfig]\nhttpPort = {self.ports[0]}\n[adminConfig]\nport = {self.ports[1]}\n"
        self._new = lambda: GatewayProcess(folder, [describe(["/a"]).replace(BACKEND, backend.url)], settings=settings)
        self._ready_file = folder / "ready.json"
        self.gateway = self._new().start()
        self.ready = True

    def look(self) -> None:
        try:
            with Client(self.ports[1], timeout=1.0) as client:
                self.ready = client.get("/readyz", ("Connection", "close")).status == 200
        except (OSError, Ended):
            self.ready = False

    def restart(self) -> None:
        assert self.gateway.stop() == 0
        self._ready_file.unlink()
        self.gateway = self._new().start()


class Balancer:
    """Sends requests to instances that are ready, over kept connections; counts those that got no whole answer."""

    def __init__(self, instances: list[Instance]) -> None:
        self.instances = instances
        self.count = 0
        self.failures: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._probe)]
        self._threads += [threading.Thread(target=self._send, args=(number,)) for number in range(4)]

    def _probe(self) -> None:
        while not self._stopped.wait(0.02):
            for instance in self.instances:
                instance.look()

    def _send(self, number: int) -> None:
        kept: dict[Instance, Client] = {}
        while not self._stopped.wait(0.002):
            self.count += 1
            instance = next((one for one in self.instances[number % 2 :] + self.instances if one.ready), None)
            if instance is None:
                continue
            try:
                client = _usable(kept.pop(instance, None)) or Client(instance.ports[0])
            except ConnectionRefusedError:
                continue  # it was not sent, so a balancer sends it elsewhere
            try:
                answer = client.get("/a")
            except (Ended, OSError) as error:
                self.failures.append(repr(error))
                client.socket.close()
                continue
            assert answer.status == 200
            if ("Connection", "close") in answer.headers:
                client.socket.close()
            else:
                kept[instance] = client
        for client in kept.values():
            client.socket.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(10)


def _usable(client: Client | None) -> Client | None:
    """A kept connection, unless the gateway has closed it; any pool looks before it uses one again."""
    if client is not None and select.select([client.socket], [], [], 0)[0]:
        client.socket.close()
        return None
    return client


def _free_ports() -> tuple[int, int]:
    """Two below those that the system gives to others, so that nobody takes them while their gateway restarts."""
    while True:
        first = random.randrange(20_000, 30_000, 2)
        if not any(_is_served(port) for port in (first, first + 1)):
            return first, first + 1


def _is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("restarts", [4, pytest.param(20, marks=pytest.mark.long)])
def test_case_56_restarts_behind_a_balancer_reset_nothing(tmp_path: Path, backend: Backend, restarts: int):
    with ExitStack() as running:
        instances = [Instance(tmp_path / str(number), backend) for number in range(2)]
        for instance in instances:
            running.callback(lambda one=instance: one.gateway.stop())
        with Balancer(instances) as balancer:
            for number in range(restarts):
                instance = instances[number % 2]
                instance.restart()
                wait_until(lambda one=instance: one.ready, "it is ready again")
        print(f"{balancer.count} requests over {restarts} restarts, {len(balancer.failures)} without an answer")
        assert balancer.count > 100 * restarts
        assert balancer.failures == []
