"""Programs that a benchmark starts, and what the kernel says of them: CPU, memory, connections. Linux only."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

TICK = os.sysconf("SC_CLK_TCK")


class Program:
    """A program in a process group of its own; leaving it ends the group."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        self.started = time.monotonic()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def wait_for(self, port: int) -> float:
        """Seconds from the start until the port answers."""
        while time.monotonic() - self.started < 20:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return time.monotonic() - self.started
            time.sleep(0.002)
        raise RuntimeError(f"does not start:\n{self.log.read_text(errors='replace')[-2000:]}")

    @property
    def pids(self) -> list[int]:
        """Itself and all below it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory_mb(self) -> float:
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids]
        return sum(int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0]) for text in texts) / 1024

    def connections(self, port: int) -> dict[int, int]:
        """Process id to the number of connections that clients have with it on a local port."""
        established = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":
                established.add(fields[9])
        counts = {}
        for pid in self.pids:
            links = []
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    links.append(str(entry.readlink()))
                except OSError:
                    continue  # closed meanwhile
            count = sum(link.startswith("socket:[") and link[8:-1] in established for link in links)
            if count:
                counts[pid] = count
        return counts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, token: str = "") -> tuple[int, str]:
    """Status and body of one GET on a connection of its own."""
    credential = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{credential}Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(head.encode())
        data = b""
        while piece := connection.recv(65_536):
            data += piece
    return int(data.split(b" ", 2)[1]), data.partition(b"\r\n\r\n")[2].decode()
