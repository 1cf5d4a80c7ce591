"""Redis for tests: a server that keeps what it was told in a file, so that it can be killed and started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.services import Program, free_port, require

if TYPE_CHECKING:
    from pathlib import Path


class Redis(Program):
    """`with Redis(folder) as redis:`; it asks for `password` where there is one."""

    def __init__(self, folder: Path, password: str = "") -> None:
        port = free_port()
        command = [
            *(require("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ]
        if password:
            command += ["--requirepass", password]
        super().__init__(folder, command, port)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"
