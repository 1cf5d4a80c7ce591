"""What callers have used up outlives a worker's death, a reload, and with a file the gateway itself (case 48)."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from harness.credentials import bearer
from harness.descriptions import describe
from harness.process import GatewayProcess
from harness.waiting import wait_until

POLICIES = "subscriptionPolicies:\n  - Default: {count: 6, unitTime: 1, timeUnit: day}\n"
API = describe(["/a"], secured=True)
FILES = {"policies.yaml": POLICIES}


def admitted(gateway, count, path="/a"):
    """How many of so many requests pass, each over a connection of its own."""
    statuses = []
    for _ in range(count):
        with gateway.connect() as client:
            statuses.append(client.get(path, bearer(sub="alice", jti="1")).status)
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def test_counts_outlive_a_worker(gateway):
    running = gateway(API, files=FILES, settings="[runtimeConfig]\nworkers = 2\n")
    assert admitted(running, 4) == 4
    processes = set(running.processes())
    workers = processes - {running.pid}
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(set(running.processes()) - workers) == 4, "successors serve", seconds=10)
    wait_until(lambda: _answers(running), "they answer", seconds=10)
    assert admitted(running, 5) == 2


def _answers(gateway) -> bool:
    try:
        with gateway.connect() as client:
            return client.get("/health").status == 200
    except OSError:
        return False


def test_counts_outlive_a_reload(tmp_path, gateway):
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    running = gateway(API, files=FILES, environment=home, arguments=["--dev"])
    assert admitted(running, 4) == 4
    policies = next(running.folder.rglob("policies.yaml"))
    policies.write_text(POLICIES.replace("count: 6", "count: 7"))
    wait_until(lambda: "the new version serves" in running.output, "the change is served", seconds=15)
    assert admitted(running, 5) == 3


def test_counts_outlive_the_gateway_where_a_file_keeps_them(tmp_path, gateway):
    settings = f'[throttlingConfig]\nstateFile = "{tmp_path / "counts"}"\n'
    first = gateway(API, files=FILES, settings=settings)
    assert admitted(first, 4) == 4
    assert first.stop() == 0
    assert admitted(gateway(API, files=FILES, settings=settings), 5) == 2


def test_counts_begin_anew_with_the_gateway_where_nothing_keeps_them(gateway):
    first = gateway(API, files=FILES)
    assert admitted(first, 4) == 4
    assert first.stop() == 0
    assert admitted(gateway(API, files=FILES), 7) == 6


@pytest.mark.parametrize(("place", "why"), [("none/counts", "there is no such folder"), (".", "it is a directory")])
def test_a_file_that_can_never_be_kept_refuses_the_start(tmp_path, backend, place, why):
    path = tmp_path / place
    process = GatewayProcess(
        tmp_path, [API.replace("@BACKEND@", backend.url)], settings=f'[throttlingConfig]\nstateFile = "{path}"\n'
    )
    ended = subprocess.run(process.command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert f"throttlingConfig.stateFile: cannot keep counts in `{path}`: {why}" in ended.stderr
    assert "Traceback" not in ended.stderr
