"""Starts stand_in.py and talks to it: real processes, sockets and signals around a gateway that only says who it is."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.client import Client
from harness.process import GatewayProcess
from harness.waiting import wait_until

if TYPE_CHECKING:
    from harness.credentials import ServerIdentity

SCRIPT = Path(__file__).with_name("stand_in.py")


class Running(GatewayProcess):
    """`Running(folder, listenerConfig={...}, project=...)`: sections of the settings and options of the stand-in."""

    def __init__(self, folder: Path, *, workers: int = 2, grace_ms: int = 5_000, **given: Any) -> None:
        sections = {key: value for key, value in given.items() if key.endswith("Config")}
        options = {key: value for key, value in given.items() if not key.endswith("Config")}
        self.folder = folder
        self.ready = {}
        self.process = None
        self.access_log = folder / "access.log"
        self._output = folder / "output.txt"
        self._ready_file = folder / "ready.json"
        self._environment = dict(os.environ)
        self.gate = folder / "gate"
        listener = {"host": "127.0.0.1", "httpPort": 0, "httpsPort": -1} | sections.pop("listenerConfig", {})
        settings = {
            "listenerConfig": listener,
            "adminConfig": {"port": 0},
            "runtimeConfig": {"workers": workers, "gracePeriodInMillis": grace_ms},
            "accessLogConfig": {"path": str(self.access_log)},
            **sections,
        }
        options |= {"settings": settings, "ready_file": str(self._ready_file), "gate": str(self.gate)}
        self.command = [sys.executable, str(SCRIPT), json.dumps(options)]

    def start_without_waiting(self) -> None:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def ask(self, path: str = "/", **connection: Any) -> dict[str, Any]:
        """Who answers a request on a connection of its own."""
        where = connection if "unix" in connection else {"port": self.http} | connection
        with Client(**where) as client:
            return json.loads(client.get(path).body)

    def ask_https(self, identity: ServerIdentity | None = None, **connection: Any) -> dict[str, Any]:
        context = identity.client_context() if identity is not None else unchecked()
        return self.ask(**({"port": self.https, "tls": context} | connection))

    def admin(self, path: str) -> int:
        """The status of a page of the admin listener."""
        with Client(int(self.ready["admin"])) as client:
            return client.get(path, ("Connection", "close")).status

    def worker_pids(self) -> dict[int, int]:
        """Process of each slot, found by asking until all have answered."""
        found: dict[int, int] = {}
        wanted = json.loads(self.command[-1])["settings"]["runtimeConfig"]["workers"]

        def complete() -> bool:
            answer = self.ask()
            found[answer["slot"]] = answer["pid"]
            return len(found) == wanted

        wait_until(complete, "every worker has answered", seconds=10)
        return found

    def steward_pid(self) -> int:
        workers = set(self.worker_pids().values())
        (pid,) = set(self.processes()) - workers - {self.pid}
        return pid


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
