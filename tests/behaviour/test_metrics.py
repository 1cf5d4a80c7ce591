"""The metrics of a running gateway: they agree with what was sent, survive processes, and name no path."""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path

from harness.backend import held
from harness.descriptions import describe
from harness.waiting import wait_until

COUNT = "http_server_request_duration_seconds_count"
TWO_WORKERS = "[runtimeConfig]\nworkers = 2\n"


def samples(running, name):
    """Labels to value of one metric."""
    found = {}
    for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", running.metrics(), re.MULTILINE):
        found[frozenset(re.findall(r'([a-z_]+)="([^"]*)"', labels))] = float(value)
    return found


def total(running, name):
    return sum(samples(running, name).values())


def send(running, count, target="/a"):
    with running.connect() as client:
        for _ in range(count):
            client.get(target)


def child_pids(running):
    """Processes of the gateway below the supervisor, in the order of their start."""
    return [pid for pid in running.processes() if pid != running.pid]


def test_requests_sent_and_counted_agree_over_workers(gateway, backend):
    running = gateway(describe(["/a", "/b"]), settings=TWO_WORKERS)
    for _ in range(8):
        send(running, 5)
    send(running, 3, "/b")
    send(running, 2, "/nothing")
    by_route = {dict(labels)["http_route"]: value for labels, value in samples(running, COUNT).items()}
    assert by_route == {"/a": 40, "/b": 3, "": 2}
    assert total(running, "http_client_request_duration_seconds_count") == 43 == len(backend.requests)
    assert total(running, "microgate_faults_total") == 2
    wait_until(lambda: total(running, "microgate_access_log_lines_total") == 45)
    assert total(running, "http_server_response_body_size_bytes_sum") > 86


def test_case_60_paths_do_not_become_series(gateway):
    """Case 60 and 59: a hundred paths are one route, a hundred unknown ones none."""
    running = gateway(describe(["/pets/{id}"], title="Pets"))
    with running.connect() as client:
        for number in range(100):
            client.get(f"/pets/{number}")
            client.get(f"/other/{number}")
    found = samples(running, COUNT)
    assert sorted(found.values()) == [100, 100]
    named = {name: value for labels in found for name, value in labels if value}
    assert named["http_route"] == "/pets/{id}"
    assert named["api"] == "Pets"
    assert "/pets/7" not in running.metrics()
    assert "/other" not in running.metrics()


def test_requests_in_flight_and_connections_are_seen(gateway, backend):
    release = threading.Event()
    running = gateway(describe(["/a"]))
    backend.script = held(release)
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: total(running, "http_server_active_requests") == 1)
        release.set()
        assert client.answer().status == 200
        wait_until(lambda: total(running, "http_server_active_requests") == 0)


def test_counts_survive_a_killed_worker_and_what_it_held_is_forgotten(gateway, backend):
    running = gateway(describe(["/a", "/held"]))
    backend.scripts["/held"] = lambda talk: talk.wait_for_end()
    send(running, 10)
    assert total(running, "microgate_worker_starts_total") == 1
    with running.connect() as client:
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: total(running, "http_server_active_requests") == 1)
        os.kill(worker_pid(running), signal.SIGKILL)
        wait_until(lambda: total(running, "microgate_worker_starts_total") == 2, "a successor serves")
    assert total(running, "http_server_active_requests") == 0
    send(running, 5)
    assert total(running, COUNT) == 15


def test_counts_survive_a_killed_steward(gateway):
    running = gateway(describe(["/a"]))
    send(running, 10)
    assert total(running, COUNT) == 10
    worker = worker_pid(running)
    [steward] = [pid for pid in child_pids(running) if pid != worker]
    os.kill(steward, signal.SIGKILL)
    wait_until(lambda: steward not in child_pids(running), "the steward is gone")
    send(running, 5)
    wait_until(lambda: answers(running), "its successor answers")
    assert total(running, COUNT) == 15
    assert total(running, "microgate_worker_starts_total") == 1
    assert len(running.log_lines(15)) == 15


def answers(running):
    try:
        return running.metrics()
    except OSError:
        return None


def worker_pid(running):
    """The process that accepts a connection of ours."""
    with running.connect() as client:
        port = client.socket.getsockname()[1]
        return wait_until(lambda: _holder(running, f"socket:[{_inode_of_peer(running.http, port)}]"))


def _holder(running, socket):
    for pid in child_pids(running):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if str(link.readlink()) == socket:
                    return pid
    return None


def _inode_of_peer(local, remote):
    wanted = f":{local:04X}", f":{remote:04X}"
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = row.split()
        if columns[1].endswith(wanted[0]) and columns[2].endswith(wanted[1]):
            return columns[9]
    raise AssertionError("the connection is not in the table")
