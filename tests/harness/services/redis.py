"""Redis for tests: a server that keeps what it was told in a file, so that it can be killed and started again; and a cluster."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from redis import Redis as Client

from harness.services import Program, free_port, require
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.credentials import ServerIdentity

CLUSTER_SECONDS = 30.0


class Redis(Program):
    """`with Redis(folder) as redis:`; it asks for `password` where there is one, and speaks TLS alone with an `identity`."""

    def __init__(
        self,
        folder: Path,
        password: str = "",
        *,
        identity: ServerIdentity | None = None,
        program: str = "redis-server",
        options: Sequence[str] = (),
    ) -> None:
        port = free_port()
        self._password = password
        self._secure = identity is not None
        command = [require(program), "--bind", "127.0.0.1", "--dir", str(folder), *options]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        if identity is None:
            command += ["--port", str(port)]
        else:
            command += ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
            command += ["--tls-cert-file", str(identity.certificate_file)]
            command += ["--tls-key-file", str(identity.private_key_file)]
        if password:
            command += ["--requirepass", password]
        super().__init__(folder, command, port)

    @property
    def url(self) -> str:
        secret = f":{self._password.replace(' ', '%20')}@" if self._password else ""
        return f"redis{'s' if self._secure else ''}://{secret}127.0.0.1:{self.port}/0"

    def client(self) -> Client:
        return Client(port=self.port, password=self._password or None)


class Cluster:
    """`with Cluster(folder) as cluster:` three masters without replicas."""

    def __init__(self, folder: Path) -> None:
        # The nodes talk to each other ten thousand ports above.
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        self.nodes = [Redis(folder / f"node{number}", options=options) for number in range(3)]
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for node in self.nodes:
                running.enter_context(node)
            places = [f"127.0.0.1:{node.port}" for node in self.nodes]
            command = [require("redis-cli"), "--cluster", "create", *places, "--cluster-yes"]
            made = subprocess.run(command, capture_output=True, text=True, timeout=CLUSTER_SECONDS, check=False)
            assert made.returncode == 0, made.stdout + made.stderr
            wait_until(lambda: all(map(_is_up, self.nodes)), "the cluster is up", seconds=CLUSTER_SECONDS)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def urls(self) -> list[str]:
        return [f"redis://127.0.0.1:{node.port}" for node in self.nodes]


def _is_up(node: Redis) -> bool:
    with node.client() as client:
        return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
