"""Processes that die: the others serve on, a successor is there within a second, and nothing outlives the supervisor."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic

from behaviour.processes.running import Running, is_alive
from harness.client import Client
from harness.messages import Ended
from harness.waiting import holds_for, wait_until


def connect_to(gateway: Running, pid: int) -> Client:
    """A kept connection to one worker."""
    while True:
        client = Client(gateway.http)
        if f'"pid": {pid},'.encode() in client.get("/").body:
            return client
        client.socket.close()


def test_r32_a_killed_worker_is_back_within_a_second_while_the_others_serve(tmp_path: Path):
    with Running(tmp_path) as gateway:
        before = gateway.worker_pids()
        # A connection of the other worker, which must not notice anything.
        with connect_to(gateway, before[1]) as client:
            body = client.get("/").body
            killed = monotonic()
            os.kill(before[0], signal.SIGKILL)
            after = wait_until(
                lambda: (found := gateway.worker_pids())[0] != before[0] and found, "a successor", seconds=1.0
            )
            assert monotonic() - killed < 1.0
            assert after[1] == before[1]
            assert client.get("/").body == body
        assert f"worker 0 (pid {before[0]}) ended: killed by SIGKILL; it is started anew" in gateway.output
        assert gateway.admin("/readyz") == 200


def test_connections_in_the_queue_of_a_dead_worker_are_served_by_its_successor(tmp_path: Path):
    """The kernel has accepted them already, so the client would see a reset."""
    with Running(tmp_path, workers=1) as gateway:
        pid = gateway.worker_pids()[0]
        os.kill(pid, signal.SIGSTOP)
        waiting = [Client(gateway.http) for _ in range(10)]
        for client in waiting:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        os.kill(pid, signal.SIGKILL)
        for client in waiting:
            with client:
                assert client.answer().status == 200


def test_a_worker_that_dies_again_and_again_is_revived_more_and_more_slowly(tmp_path: Path):
    with Running(tmp_path, workers=1) as gateway:
        starts = set()
        begun = monotonic()
        while monotonic() - begun < 1.5:
            starts.add(gateway.ask()["pid"])
            with Client(gateway.http) as client, suppress(Ended):
                client.get("/die")
        assert 3 <= len(starts) <= 8
        # One that has lived for a while is not made to pay for its predecessors for ever.
        wait_until(lambda: gateway.ask()["slot"] == 0, seconds=5)


def test_a_killed_steward_is_back_within_a_second_and_knows_who_serves(tmp_path: Path):
    with Running(tmp_path) as gateway:
        before = gateway.steward_pid()
        workers = gateway.worker_pids()
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: not is_alive(before))
        assert gateway.ask()["project"] == "first"
        wait_until(lambda: gateway.admin("/readyz") == 200, "a new steward answers", seconds=1.0)
        assert gateway.steward_pid() != before
        assert gateway.worker_pids() == workers


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path):
    gateway = Running(tmp_path).start()
    try:
        port, family = gateway.http, gateway.processes()
        assert len(family) == 4
        os.kill(gateway.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, family[1:])), "its children have ended", seconds=1.0)
    finally:
        gateway.kill()
    # The port is free for a successor at once.
    with Running(tmp_path, listenerConfig={"httpPort": port}) as successor:
        assert successor.http == port


def test_a_stuck_worker_does_not_outlive_the_supervisor_either(tmp_path: Path):
    gateway = Running(tmp_path, workers=1).start()
    try:
        family = gateway.processes()
        with Client(gateway.http) as client:
            client.send(b"GET /stick HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: cpu_ticks(family[-1]) > 20, "the worker is busy with itself", seconds=10)
            os.kill(gateway.pid, signal.SIGKILL)
            wait_until(lambda: not any(map(is_alive, family[1:])), "its children have ended", seconds=1.0)
    finally:
        gateway.kill()


def cpu_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def test_signals_to_children_are_ignored_because_the_supervisor_decides(tmp_path: Path):
    with Running(tmp_path) as gateway:
        family = gateway.processes()
        for pid in family[1:]:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(pid, number)
        holds_for(lambda: all(map(is_alive, family)), "everybody lives")
        assert gateway.ask()["project"] == "first"


def test_the_descriptor_limit_is_raised_for_every_process(tmp_path: Path):
    with Running(tmp_path) as gateway:
        for pid in gateway.processes():
            lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
            (limits,) = [line.split()[3:5] for line in lines if line.startswith("Max open files")]
            assert limits[0] == limits[1]
