"""The gateway as users start it: `microgate run` in a process of its own, on ports that the system chooses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.client import Client
from harness.credentials import ISSUER, public_pem
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMAND = Path(sys.executable).with_name("microgate")
START_SECONDS = 20.0

# What a test does not say, so that many gateways run beside each other on one machine.
_DEFAULTS = {
    "listenerConfig.host": "127.0.0.1",
    "listenerConfig.httpPort": "0",
    "listenerConfig.httpsPort": "-1",
    "listenerConfig.tokenListenerPort": "0",
    "adminConfig.port": "0",
    "runtimeConfig.workers": "1",
    "dpopConfig.nonceAfterStart": "false",
}


class GatewayProcess:
    """A running gateway. Leaving it stops it with SIGTERM, and fails on a traceback in what it printed."""

    def __init__(
        self,
        folder: Path,
        descriptions: Sequence[str],
        *,
        settings: str = "",
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
    ) -> None:
        """`files` are of the project, by their paths in it."""
        self.folder = folder
        self.ready: dict[str, Any] = {}
        self._output = folder / "output.txt"
        self._ready_file = folder / "ready.json"
        self.access_log = folder / "access.log"
        configuration = folder / "micro-gw.conf"
        configuration.write_text(_with_issuer(settings, folder))
        self.command = [
            str(COMMAND),
            "run",
            str(_sources(folder, descriptions, files or {})),
            "--config",
            str(configuration),
            "--ready-file",
            str(self._ready_file),
            *self._overrides(settings),
            *arguments,
        ]
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("MICROGATE_", "COV_"))
        } | dict(environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def _overrides(self, settings: str) -> list[str]:
        given = tomllib.loads(settings)
        defaults = {**_DEFAULTS, "accessLogConfig.path": str(self.access_log)}
        words = []
        for key, value in defaults.items():
            section, _, name = key.partition(".")
            if name not in given.get(section, {}):
                words += ["--set", f"{key}={value}"]
        return words

    def start(self) -> GatewayProcess:
        """Start it and wait until all workers serve."""
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=self._environment,
                start_new_session=True,
            )
        try:
            wait_until(self._is_ready, "the gateway serves", seconds=START_SECONDS)
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"the gateway does not start: {error}\n{self.output}") from None
        self.ready = json.loads(self._ready_file.read_text())
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"
        return self._ready_file.exists()

    def stop(self, *, seconds: float = 10.0) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the gateway does not stop\n{self.output[-4000:]}") from None

    def kill(self) -> None:
        """End the whole process group at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *failure: object) -> None:
        self.stop()
        if failure[0] is None:
            assert "Traceback" not in self.output, self.output[-8000:]

    # What it serves and says.

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def http(self) -> int:
        return int(self.ready["http"])

    @property
    def https(self) -> int:
        return int(self.ready["https"])

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def connect(self, **options: Any) -> Client:
        return Client(self.http, **options)

    def log_lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The access log, once it has at least `count` lines."""

        def lines() -> list[dict[str, Any]] | None:
            if not self.access_log.exists():
                return None
            text = self.access_log.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1].splitlines()
            return [json.loads(line) for line in whole] if len(whole) >= count else None

        return wait_until(lines, f"{count} lines in the access log")

    def metrics(self) -> str:
        """The admin listener's /metrics."""
        with Client(int(self.ready["admin"])) as client:
            return client.get("/metrics", ("Connection", "close")).body.decode()

    def processes(self) -> list[int]:
        """The supervisor and all below it."""
        found = [self.pid]
        for pid in found:
            # One that ends while it is looked at has no children any more.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += [int(child) for child in task.read_text().split()]
        return found

    def memory_kb(self) -> int:
        """Proportional set size of all its processes."""
        return sum(_pss_kb(pid) for pid in self.processes())


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _sources(folder: Path, descriptions: Sequence[str], files: Mapping[str, str]) -> Path:
    """One description is a bare file; several, or more files, make a project folder."""
    if len(descriptions) == 1 and not files:
        file = folder / "api.json"
        file.write_text(descriptions[0])
        return file
    definitions = folder / "project" / "api_definitions"
    definitions.mkdir(parents=True, exist_ok=True)
    for number, description in enumerate(descriptions):
        (definitions / f"api{number}.json").write_text(description)
    for name, text in files.items():
        file = folder / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "project"


def _with_issuer(settings: str, folder: Path) -> str:
    """The settings, trusting the test issuer unless they name issuers of their own."""
    if "jwtTokenConfig" in settings:
        return settings
    key_file = folder / "issuer.pem"
    key_file.write_bytes(public_pem())
    return f'{settings}\n[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{key_file}"\n'
