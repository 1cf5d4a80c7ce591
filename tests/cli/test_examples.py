"""The examples do what their README says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from harness.sources import ROOT
from harness.waiting import wait_until

DEMO = ROOT / "examples" / "petstore" / "demo.py"


def test_the_demo_makes_its_calls_and_ends():
    done = subprocess.run([sys.executable, DEMO, "--once"], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    answers = [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("HTTP/1.1 ")]
    assert answers == ["401", "200", "404", "405"]
    assert sum(line.startswith("curl -i") for line in done.stdout.splitlines()) == 4


def test_the_demo_leaves_the_gateway_running_until_it_is_stopped(tmp_path):
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen([sys.executable, DEMO], stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: b"until you stop it with Ctrl-C" in said.read_bytes(), "it says how to stop", seconds=60)
        assert process.poll() is None
        # As a terminal does: everything in the foreground gets it.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    assert b"Traceback" not in said.read_bytes()


def test_a_call_that_goes_wrong_is_named(tmp_path):
    broken = tmp_path / "petstore"
    broken.mkdir()
    for name in ("demo.py", "backend.py", "petstore.yaml"):
        text = (DEMO.parent / name).read_text()
        (broken / name).write_text(text.replace("[read:pets]", "[admin:pets]") if name == "petstore.yaml" else text)
    done = subprocess.run(
        [sys.executable, broken / "demo.py", "--once"], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1
    assert "demo: with a token: GET /petstore/v1/pets/1 was answered with 403 instead of 200" in done.stderr


@pytest.mark.parametrize("words", [["--twice"], ["--once", "more"]])
def test_usage(words):
    assert subprocess.run([sys.executable, DEMO, *words], capture_output=True, timeout=30, check=False).returncode == 2
