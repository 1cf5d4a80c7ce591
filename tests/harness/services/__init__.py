"""Real services that tests talk to: programs of the system, each on free ports, in a folder of its own, ended by its pid.

`make services` installs them. A test asks for one with `require`, which leaves the test out, by name and with a sentence, where
a program is missing; in CI, which sets SERVICES_REQUIRED, a missing program is a failure.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Self

import pytest

from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_SECONDS = 60.0  # a broker on a busy machine
STOP_SECONDS = 10.0

_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/lib/rabbitmq/bin"])


def require(program: str) -> str:
    """The path of a program; skips the test where this machine has none, unless SERVICES_REQUIRED says that it must."""
    found = shutil.which(program, path=_SEARCH_PATH)
    if found is None:
        sentence = f"this machine has no {program}: `make services` installs it"
        if os.environ.get("SERVICES_REQUIRED"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


def free_port() -> int:
    """Below the ports that the system gives to others, so that nobody takes it while a service restarts on it."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def answers(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """A program in a process group of its own, which can be stopped, killed and started again with what it has kept.

    It serves once something listens on `port`. What it prints is in `folder / "output.txt"`.
    """

    def __init__(
        self, folder: Path, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def output(self) -> str:
        file = self.folder / "output.txt"
        return file.read_text(errors="replace") if file.exists() else ""

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.launch()
        try:
            wait_until(self._is_ready, f"{self._command[0]} serves", seconds=START_SECONDS)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output[-4000:]}") from None

    def launch(self) -> None:
        """Start it without waiting."""
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended with {self._process.returncode}"
        return answers(self.port)

    def stop(self) -> None:
        """Ask it to end, and make it end where it does not."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._process = None
        # A child of the program may hold the port a moment longer.
        wait_until(lambda: not answers(self.port), f"{self._command[0]} is gone", seconds=STOP_SECONDS)
