"""The example of client certificates: its script, its settings and the calls of its README, through the real command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest

from harness.process import COMMAND
from harness.sources import ROOT
from harness.waiting import wait_until

EXAMPLE = ROOT / "examples" / "mutual-tls"
ADDRESS = "https://localhost:9095"


@pytest.fixture
def example(tmp_path, backend):
    """A copy of the example whose gateway serves on a port of its own: the folder, and how to make its calls."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("certificates"))
    subprocess.run(["./certificates.sh"], cwd=folder, check=True, capture_output=True, timeout=60)
    description = folder / "orders.yaml"
    description.write_text(description.read_text().replace("http://127.0.0.1:8080", backend.url))
    settings = folder / "micro-gw.conf"
    settings.write_text(settings.read_text().replace("httpsPort = 9095", "httpsPort = 0"))
    said, ready = tmp_path / "said", tmp_path / "ready.json"
    words = [
        "run",
        "orders.yaml",
        "--config",
        "micro-gw.conf",
        "--ready-file",
        str(ready),
        "--set",
        "adminConfig.port=0",
    ]
    with said.open("wb") as output:
        process = subprocess.Popen([COMMAND, *words], cwd=folder, stdout=output, stderr=output)
    try:
        wait_until(ready.exists, "the gateway serves", seconds=20)
        yield folder, int(re.search(r'"https": (\d+)', ready.read_text())[1]), said
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in said.read_text()


def _call(folder, line, port):
    """The status of a curl line of the README, or "alert"."""
    words = shlex.split(line.replace(ADDRESS, f"https://localhost:{port}"))
    done = subprocess.run([*words, "-s", "--max-time", "10"], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.split(" ")[1] if done.stdout else "alert"


def test_the_calls_of_the_readme_are_answered_as_it_says(example):
    folder, port, said = example
    readme = (EXAMPLE / "README.md").read_text()
    calls = re.findall(r"^    (curl .+)$", readme, re.MULTILINE)
    wanted = [cell.strip() for cell in re.findall(r"^\| [^|]+ \| ([^|]+) \|", readme, re.MULTILINE)[1:]]
    wanted = ["alert" if "alert" in cell else cell for cell in wanted]
    assert [_call(folder, call, port) for call in calls] == wanted == ["200", "401", "401", "401", "alert"]
    revoke = re.findall(r"^    (openssl ca .+)$", readme, re.MULTILINE)
    for line in revoke:
        subprocess.run(shlex.split(line), cwd=folder / "certificates", check=True, capture_output=True, timeout=30)
    wait_until(lambda: _call(folder, calls[0], port) == "401", "alice is refused")
    assert "auth.mutual_tls.revoked" in said.read_text()
