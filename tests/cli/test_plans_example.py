"""The example of plans does what its README says: its lines are run by a shell, on ports that the system chooses."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest

from harness.process import COMMAND
from harness.sources import ROOT
from harness.waiting import wait_until

EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "plans" / "README.md").read_text()


def _start(running, said, words, **options):
    with said.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, **options)
    running.callback(process.wait, 10)
    running.callback(process.terminate)


def _serve(running, script, folder):
    """Start a server of the examples; its port."""
    said = folder / f"{script.stem}.txt"
    _start(running, said, [sys.executable, script, "0"])
    found = wait_until(lambda: re.search(rb"http://127\.0\.0\.1:([0-9]+)", said.read_bytes()), "it serves", seconds=20)
    return int(found[1])


@pytest.fixture
def shell(tmp_path):
    """Runs lines of the README, and returns what they print."""
    folder = tmp_path / "plans"
    shutil.copytree(EXAMPLES / "plans", folder)
    said, ready = tmp_path / "said.txt", tmp_path / "ready.json"
    with ExitStack() as running:
        backend = _serve(running, EXAMPLES / "petstore" / "backend.py", tmp_path)
        issuer = _serve(running, EXAMPLES / "oauth" / "issuer.py", tmp_path)
        for name in ("api_definitions/library.yaml", "micro-gw.conf"):
            text = (folder / name).read_text().replace("httpPort = 9090", "httpPort = 0")
            (folder / name).write_text(text.replace(":8080", f":{backend}").replace(":8081", f":{issuer}"))
        built = subprocess.run(
            [COMMAND, "build", "."], cwd=folder, capture_output=True, text=True, check=True, timeout=60
        )
        assert "warning" not in built.stderr
        words = [COMMAND, "run", "target/plans", "--config", "micro-gw.conf", "--ready-file", ready]
        _start(running, said, [*words, "--set", "adminConfig.port=0", "--workers", "2"], cwd=folder)
        wait_until(ready.exists, "the gateway serves", seconds=20)
        port = re.search(r'"http": (\d+)', ready.read_text())[1]

        def run(*lines):
            script = "\n".join(lines).replace(":8081", f":{issuer}").replace(":9090", f":{port}")
            return subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout

        yield run
    assert "Traceback" not in said.read_text()


def test_the_calls_of_the_readme_are_answered_as_it_says(shell):
    """Each plan holds over both workers, whichever of them a call reaches."""
    tokens = re.findall(r"^    (\w+=\$\(curl .+)$", README, re.MULTILINE)
    calls = re.findall(r"^    (curl -i .+)$", README, re.MULTILINE)
    wanted = re.findall(r"^\| [^|]+ \| ([0-9]+) \|", README, re.MULTILINE)
    assert (len(tokens), len(calls)) == (2, len(wanted))
    gold = calls[3]
    # Discovery takes a moment; until then the issuer's tokens are answered with 503.
    wait_until(lambda: " 200 " in shell(*tokens, f"{gold} -s"), "the issuer's keys are known", seconds=20)
    answers = shell(*tokens, *(f"{call} -s; echo" for call in calls))
    statuses = re.findall(r"^HTTP/1\.1 ([0-9]+)", answers, re.MULTILINE)
    assert statuses == wanted == ["200", "201", "429", "200", "200", "200", "429"]
    assert len(re.findall(r"^Retry-After: [0-9]+", answers, re.MULTILINE)) == 2
