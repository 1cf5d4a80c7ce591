"""`gateway PATH start` and `stop`: a gateway in the background, its pid file and its log. They are in MGW_HOME as they were
under WSO2 (`bin/gateway.pid`, `logs/microgateway.log`), else in the user's state folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.cli.console import printable
from microgate.cli.state import state_folder
from microgate.errors import StartError

if TYPE_CHECKING:
    from microgate.cli.console import Console

START_SECONDS = 60.0  # a gateway that takes longer is left to itself, with a word
STOP_SECONDS = 600.0  # requests may finish first, for as long as the settings allow
LOOK_SECONDS = 0.05
MOST_LINES = 12  # of a log, in our own answer


def start(words: list[str], console: Console) -> int:
    """Start `gateway WORDS` in the background and wait until it serves. Raises StartError where it does not."""
    pid_file, log_file = _places()
    pid = running(pid_file)
    if pid:
        console.data("Process is already running")
        return 0
    try:
        pid_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="microgate-") as folder, log_file.open("ab") as log:
            ready_file = Path(folder) / "ready"
            begins = log.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", "microgate.cli.gateway", *words, f"--ready-file={ready_file}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            pid_file.write_text(f"{process.pid}\n", encoding="ascii")
            return _await_start(process, ready_file, (log_file, begins), console)
    except OSError as error:
        raise StartError(
            f"{error.filename or pid_file}: {error.strerror or error}", "set MGW_HOME to a folder of yours"
        ) from error


def stop(console: Console) -> int:
    """Stop the gateway of the pid file and wait for its end; fine where none runs."""
    pid_file, _ = _places()
    pid = running(pid_file)
    if not pid:
        console.data("No gateway is running")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    with console.progress("stopping: requests may finish"):
        while running(pid_file):
            if time.monotonic() > deadline:
                raise StartError(f"process {pid} still runs", f"kill -9 {pid} ends it at once")
            time.sleep(LOOK_SECONDS)
    with contextlib.suppress(OSError):
        pid_file.unlink()
    console.data("Gateway is stopped")
    return 0


def running(pid_file: Path) -> int:
    """The pid of the living gateway of the pid file, or 0."""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
        return 0
    try:
        # A pid is given again after a while; a zombie has an empty command line.
        return pid if b"microgate" in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
    except OSError:
        return 0 if Path("/proc/self").exists() else pid


def _await_start(process: subprocess.Popen[bytes], ready_file: Path, log: tuple[Path, int], console: Console) -> int:
    deadline = time.monotonic() + START_SECONDS
    with console.progress("starting"):
        while not ready_file.exists():
            if process.poll() is not None:
                console.say(_complaint(*log))
                raise StartError("the gateway did not start", f"all it said is in {log[0]}")
            if time.monotonic() > deadline:
                console.warning(
                    f"the gateway (process {process.pid}) does not serve yet", f"what it says is in {log[0]}"
                )
                return 0
            time.sleep(LOOK_SECONDS)
    # It outlives us; nobody waits for it here.
    process.returncode = 0
    console.data(f"Gateway is started (process {process.pid}), log: {log[0]}")
    return 0


def _complaint(log_file: Path, begins: int) -> str:
    """What the gateway said from its first error on, else its last words; a few lines of it."""
    with log_file.open("rb") as file:
        file.seek(begins)
        lines = file.read(65_536).decode(errors="backslashreplace").splitlines()
    first = next((number for number, line in enumerate(lines) if "error" in line), -MOST_LINES)
    return "\n".join(printable(line) for line in lines[first:][:MOST_LINES]) or "the gateway said nothing"


def _places() -> tuple[Path, Path]:
    home = os.environ.get("MGW_HOME")
    if home:
        return Path(home) / "bin" / "gateway.pid", Path(home) / "logs" / "microgateway.log"
    folder = state_folder()
    return folder / "gateway.pid", folder / "microgateway.log"
