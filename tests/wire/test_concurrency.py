"""How many requests a caller may have in flight: exactly so many over all workers, and each place is free again however a
request ends.
"""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

from harness.backend import raw
from harness.descriptions import describe
from harness.waiting import holds_for, wait_until

FILES = {"policies.yaml": "resourcePolicies:\n  - Two: {concurrency: 2}\n"}
TWO_WORKERS = "[runtimeConfig]\nworkers = 2\n"
API = describe({"/a": {"get": {"x-wso2-throttling-tier": "Two"}, "post": {"x-wso2-throttling-tier": "Two"}}})


class Held:
    """The backend answers when it is told to, and knows how many requests it has at one time."""

    def __init__(self, backend):
        self.release = threading.Event()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        backend.script = self._answer

    def _answer(self, talk):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        talk.wait(self.release)
        with self._lock:
            self._now -= 1
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def begin(gateway, backend, count):
    """Requests in flight, each on a connection of its own."""
    before = len(backend.requests)
    clients = [gateway.connect() for _ in range(count)]
    for client in clients:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    backend.wait_for(before + count)
    return clients


def status(gateway):
    with gateway.connect() as client:
        return client.get("/a").status


def is_free(gateway, release):
    """Whether a request finds a place; the backend answers at once."""
    release.set()
    return status(gateway) == 200


def test_one_too_many_is_refused_and_told_when_to_come_again(gateway, backend):
    held = Held(backend)
    running = gateway(API, files=FILES, settings=TWO_WORKERS)
    clients = begin(running, backend, 2)
    with running.connect() as client:
        refused = client.get("/a")
    assert (refused.status, refused.json["fault"]["code"]) == (429, 900802)
    assert refused.header("Retry-After") == "1"
    assert refused.header("RateLimit-Policy") == '"Two";q=2;qu="concurrent-requests"'
    held.release.set()
    answers = [client.answer() for client in clients]
    assert [answer.status for answer in answers] == [200, 200]
    # A place of its own says nothing of what is left: others take and give it back meanwhile.
    assert not answers[0].all("RateLimit")
    assert status(running) == 200
    for client in clients:
        client.socket.close()


def test_never_more_than_the_bound_reach_the_backend_and_every_place_comes_back(gateway, backend):
    held = Held(backend)
    held.release.set()
    running = gateway(API, files=FILES, settings=TWO_WORKERS)

    def call(_):
        with running.connect() as client:
            return [client.get("/a").status for _ in range(25)]

    with ThreadPoolExecutor(8) as pool:
        found = [one for some in pool.map(call, range(8)) for one in some]
    assert set(found) <= {200, 429}
    assert found.count(200) >= 25
    assert held.most <= 2
    held.release.clear()
    for client in begin(running, backend, 2):
        client.socket.close()


def test_pipelined_requests_take_one_place_after_the_other(gateway, backend):
    running = gateway(API, files={"policies.yaml": FILES["policies.yaml"].replace("concurrency: 2", "concurrency: 1")})
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n" * 6)
        assert [client.answer().status for _ in range(6)] == [200] * 6


def test_clients_that_leave_and_backends_that_fail_leave_no_place_taken(gateway, backend):
    held = Held(backend)
    running = gateway(API, files=FILES, settings=TWO_WORKERS)
    for client in begin(running, backend, 2):
        client.reset()
    wait_until(lambda: is_free(running, held.release), "clients that left are not counted")
    backend.script = raw(b"", then="reset")
    assert [status(running) for _ in range(5)] == [502] * 5
    backend.script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", then="reset")
    for _ in range(4):
        with running.connect() as client:
            client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
            client.until_closed()
    backend.script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert [status(running) for _ in range(3)] == [200] * 3
    with running.connect() as client:
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        client.until_closed()
    assert [status(running) for _ in range(3)] == [200] * 3


def test_the_share_of_a_killed_worker_is_free_at_once(gateway, backend):
    held = Held(backend)
    running = gateway(API, files=FILES, settings=TWO_WORKERS)
    clients = begin(running, backend, 2)
    assert status(running) == 429
    for worker in set(running.processes()) - {running.pid}:
        os.kill(worker, signal.SIGKILL)
    for client in clients:
        client.until_closed()
        client.socket.close()

    def serves():
        try:
            return is_free(running, held.release)
        except OSError:
            return False

    wait_until(serves, "successors have both places", seconds=10)
    held.release.clear()
    for client in begin(running, backend, 2):
        client.socket.close()


def test_the_bound_holds_over_both_generations_of_a_reload(tmp_path, gateway, backend):
    held = Held(backend)
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    running = gateway(API, files=FILES, environment=home, arguments=["--dev"], settings=TWO_WORKERS)
    clients = begin(running, backend, 2)
    policies = next(running.folder.rglob("policies.yaml"))
    policies.write_text(FILES["policies.yaml"] + "  - Other: {concurrency: 3}\n")
    wait_until(lambda: "the new version serves" in running.output, "the change is served", seconds=15)
    holds_for(lambda: status(running) == 429, "what is in flight in the old version counts")
    held.release.set()
    assert [client.answer().status for client in clients] == [200, 200]
    for client in clients:
        client.socket.close()
    assert status(running) == 200
