"""Whole sessions at a shell, with the real commands: tests/cli/transcripts/*.txt hold what is typed and all that is answered.

A line that begins with `$ ` is typed; after it come standard output, standard error with `2> ` before each line, and the exit
code where it is not 0. A line that begins with `#` is ours, so no answer may. MICROGATE_GOLDEN=write writes the answers anew;
read them as a diff.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.sources import ROOT
from microgate import __version__

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
COMMAND_SECONDS = 60.0
WRITE = os.environ.get("MICROGATE_GOLDEN") == "write"


@pytest.mark.parametrize("file", TRANSCRIPTS, ids=lambda file: file.stem)
def test_transcript(file, tmp_path):
    folder = tmp_path / "place"
    folder.mkdir()
    shutil.copy(ROOT / "examples" / "petstore" / "petstore.yaml", folder)
    expected = file.read_text(encoding="utf-8")
    actual = _play(expected, folder)
    if WRITE:
        file.write_text(actual, encoding="utf-8")
    else:
        assert actual == expected


def test_no_command_shows_a_traceback():
    assert TRANSCRIPTS
    assert not [file.name for file in TRANSCRIPTS if "Traceback" in file.read_text(encoding="utf-8")]


def _play(transcript: str, folder: Path) -> str:
    lines = []
    for line in transcript.splitlines():
        if line.startswith("#"):
            lines.append(line)
        elif line.startswith("$ "):
            lines += [line, *_run(line[2:], folder)]
    return "\n".join(lines) + "\n"


def _run(command: str, folder: Path) -> list[str]:
    home = folder.parent / "home"
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=COMMAND_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            # A command that serves, where it should have refused, is not left behind.
            os.killpg(process.pid, signal.SIGKILL)
    lines = [*said.splitlines(), *(f"2> {line}" for line in complained.splitlines())]
    if process.returncode:
        lines.append(f"[exit {process.returncode}]")
    return [_steady(line, folder) for line in lines]


def _steady(line: str, folder: Path) -> str:
    """Without what differs from one run or version to the next."""
    line = line.replace(str(folder), "FOLDER").replace(str(folder.parent), "PARENT")
    line = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", line)
    line = re.sub(r"\b[0-9,]+ bytes|(?<=Bytes\": )\d+", "N bytes", line)
    return re.sub(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])", "VERSION", line)
