"""etcd for tests: a server of one member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.services import Program, free_port, require

if TYPE_CHECKING:
    from pathlib import Path


class Etcd(Program):
    """`with Etcd(folder) as etcd:`, which speaks both of its interfaces on `port`."""

    def __init__(self, folder: Path) -> None:
        port, peers = free_port(), free_port()
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
        command = [
            *(require("etcd"), "--data-dir", str(folder / "data"), "--enable-v2=true", "--unsafe-no-fsync"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        ]
        super().__init__(folder, command, port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
