"""The swap of generations that a reload while developing makes: nothing refused, nothing cut off, and a bad one never serves."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from behaviour.processes.running import Running
from harness.client import Client
from harness.descriptions import describe
from harness.messages import Ended
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.process import GatewayProcess

MODES = pytest.mark.parametrize("fork", [True, False], ids=["crew", "one process"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    file = tmp_path / "project.txt"
    file.write_text("first")
    return file


class Load:
    """Clients that ask without a pause, over kept and over new connections, and count what went wrong."""

    def __init__(self, gateway: Running) -> None:
        self.gateway = gateway
        self.seen: set[bytes] = set()
        self.count = 0
        self.failures: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kept,)) for kept in (True, False)]

    def _run(self, kept: bool) -> None:
        try:
            client = Client(self.gateway.http)
            while not self._stop.is_set():
                try:
                    answer = client.get("/")
                except Ended:
                    # The old crew has closed a connection that was idle just as we sent: any client asks again.
                    if not kept:
                        raise
                    client.socket.close()
                    client = Client(self.gateway.http)
                    continue
                assert answer.status == 200
                self.seen.add(answer.body)
                self.count += 1
                if not kept or ("Connection", "close") in answer.headers:
                    client.socket.close()
                    client = Client(self.gateway.http)
            client.socket.close()
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.failures.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


def serves(gateway: Running, name: str) -> bool:
    return all(gateway.ask()["project"] == name for _ in range(4))


@MODES
def test_a_saved_project_is_served_and_no_request_fails_meanwhile(tmp_path: Path, project: Path, fork: bool):
    with Running(tmp_path, project_file=str(project), fork=fork) as gateway:
        with Load(gateway) as load:
            project.write_text("second")
            wait_until(lambda: serves(gateway, "second"), "the second is served", seconds=10)
            project.write_text("third")
            wait_until(lambda: serves(gateway, "third"), "the third is served", seconds=10)
        assert not load.failures
        assert load.count > 50
        assert gateway.admin("/readyz") == 200


@MODES
def test_requests_in_flight_finish_on_the_old_version(tmp_path: Path, project: Path, fork: bool):
    with Running(tmp_path, project_file=str(project), fork=fork) as gateway:
        with Client(gateway.http) as slow:
            slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            gateway.ask()
            project.write_text("second")
            wait_until(lambda: serves(gateway, "second"), "the second is served", seconds=10)
            gateway.gate.touch()
            answer = slow.answer()
            assert answer.status == 200
            assert b'"first"' in answer.body
        if fork:
            wait_until(lambda: len(gateway.processes()) == 4, "the old processes have ended")


@MODES
def test_a_version_that_cannot_start_leaves_the_running_one(tmp_path: Path, project: Path, fork: bool):
    with Running(tmp_path, project_file=str(project), fork=fork) as gateway:
        for broken in ("broken", "crashing")[: 2 if fork else 1]:
            project.write_text(broken)
            wait_until(lambda: "the running one stays" in gateway.output, "it says so", seconds=10)
            assert serves(gateway, "first")
        project.write_text("second")
        wait_until(lambda: serves(gateway, "second"), "the next good one is served", seconds=10)
        assert "Traceback" not in gateway.output


def test_the_admin_listener_belongs_to_the_new_steward_while_the_old_version_finishes(tmp_path: Path, project: Path):
    with Running(tmp_path, project_file=str(project)) as gateway, Client(gateway.http) as slow:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        gateway.ask()
        project.write_text("second")
        wait_until(lambda: serves(gateway, "second"), "the second is served", seconds=10)
        assert {gateway.admin("/readyz") for _ in range(20)} == {200}
        gateway.gate.touch()
        assert slow.answer().status == 200


def test_a_stop_during_a_swap_ends_both_versions(tmp_path: Path, project: Path):
    with Running(tmp_path, project_file=str(project), grace_ms=500) as gateway, Client(gateway.http) as slow:
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        gateway.ask()
        project.write_text("second")
        wait_until(lambda: len(gateway.processes()) > 4, "both versions are there", seconds=10)
        assert gateway.stop(seconds=3) == 0
        with suppress(Ended):
            slow.answer()


@pytest.mark.parametrize("swaps", [3, pytest.param(100, marks=pytest.mark.long)])
def test_r27_swaps_leave_nothing_behind_and_fail_no_request(tmp_path: Path, project: Path, swaps: int):
    with Running(tmp_path, workers=1, project_file=str(project)) as gateway:
        folder = Path(f"/proc/{gateway.pid}/fd")
        before = len(list(folder.iterdir()))
        with Load(gateway) as load:
            for number in range(swaps):
                project.write_text(f"version {number}")
                wait_until(lambda name=f"version {number}": serves(gateway, name), "it is served", seconds=10)
        assert not load.failures
        wait_until(lambda: len(gateway.processes()) == 3, "the old processes have ended")
        wait_until(lambda: len(list(folder.iterdir())) == before, "their descriptors are closed")
        print(f"{load.count} requests over {swaps} swaps")


def test_a_saved_description_is_served_by_the_command_itself(tmp_path: Path, gateway: Callable[..., GatewayProcess]):
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    running = gateway(describe(["/a"]), environment=home, arguments=["--dev"])
    file = running.folder / "api.json"
    with running.connect() as kept:
        assert kept.get("/a").status == 200
        assert kept.get("/b").status == 404
        file.write_text("{ this is no description")
        wait_until(lambda: "keeps serving what it served before" in running.output, "it says so", seconds=10)
        assert kept.get("/a").status == 200
        file.write_text(describe(["/b"], backend="http://127.0.0.1:9"))
        wait_until(lambda: answer_to(running, "/b") == 502, "the new one is served", seconds=10)
        assert answer_to(running, "/a") == 404


def test_a_changed_setting_that_needs_a_restart_is_named(tmp_path: Path, gateway: Callable[..., GatewayProcess]):
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    running = gateway(describe(["/a"]), environment=home, arguments=["--dev"])
    with running.folder.joinpath("micro-gw.conf").open("a") as file:
        file.write('[b7a.log]\nlevel = "ERROR"\n')
    wait_until(lambda: "the new version serves" in running.output, "the new one is served", seconds=10)
    assert running.output.count("changed settings that only a restart brings into force: b7a.log.level") == 1


def answer_to(running: GatewayProcess, path: str) -> int:
    with running.connect() as client:
        return client.get(path).status
