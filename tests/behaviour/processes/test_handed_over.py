"""The process that serves begins anew: nobody else sees what it is given, and what goes wrong on the way is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.descriptions import BACKEND, describe
from harness.process import GatewayProcess
from harness.waiting import wait_until

if TYPE_CHECKING:
    from harness.backend import Backend

DIGEST = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
SETTINGS = f'[b7a.users.ann]\npassword = "@sha256:{{{DIGEST}}}"\n'


def _make(folder: Path, backend: Backend) -> GatewayProcess:
    return GatewayProcess(folder, [describe(["/a"]).replace(BACKEND, backend.url)], settings=SETTINGS)


def test_settings_are_handed_over_unseen(tmp_path: Path, backend: Backend):
    with _make(tmp_path, backend) as gateway:
        processes = gateway.processes()
        assert len(processes) >= 3
        for pid in processes:
            folder = Path(f"/proc/{pid}")
            seen = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            assert DIGEST.encode() not in seen
            assert b"microgate\0run\0" in seen, "lists of processes show the user's own words"
            assert not [link for link in (folder / "fd").iterdir() if "memfd:microgate " in str(link.readlink())]
        assert gateway.pid == gateway.process.pid, "and under the process id that the user started"


def test_an_interpreter_that_cannot_be_started_is_told_in_one_line(tmp_path: Path, backend: Backend):
    gateway = _make(tmp_path, backend)
    code = "import sys; sys.executable = '/nowhere/python'; from microgate.cli.main import main; sys.exit(main())"
    words = [sys.executable, "-c", code, *gateway.command[1:]]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert lines == ["error: `/nowhere/python` cannot be started to serve: no such file or directory"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_signal_on_the_way_ends_it_and_leaves_nobody(tmp_path: Path, backend: Backend, step: str):
    gateway = _make(tmp_path, backend)
    process = subprocess.Popen(
        gateway.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    words = Path(f"/proc/{process.pid}/cmdline")
    anew = b"microgate.cli.handed_over"
    if step == "after":
        wait_until(lambda: anew in words.read_bytes(), "it has begun anew", seconds=20)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=20)[0]
    assert process.returncode in (0, -signal.SIGTERM)
    assert b"Traceback" not in output
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


LET_GO = """
import hashlib, re, ssl
from pathlib import Path
from microgate.runtime import idle_code

def resident_kb():
    kept, is_code = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match("[0-9a-f]+-", line):
            is_code = " r-xp " in line and ".so" in line
        elif is_code and line.startswith("Rss:"):
            kept += int(line.split()[1])
    return kept

ssl.create_default_context()
before = resident_kb()
idle_code.let_go()
after = resident_kb()
ssl.create_default_context()
print(before, after, hashlib.sha256(b"").hexdigest()[:8])
"""


def test_code_that_is_let_go_leaves_memory_and_runs_again():
    done = subprocess.run([sys.executable, "-c", LET_GO], capture_output=True, text=True, timeout=60, check=True)
    before, after, digest = done.stdout.split()
    assert int(after) < int(before) / 2
    assert digest == "e3b0c442"
