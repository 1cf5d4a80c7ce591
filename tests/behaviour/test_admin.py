"""The admin listener of a running gateway: probes that tell the truth, on a port of their own."""

from __future__ import annotations

import json
import os
import signal
import threading

from harness.backend import held
from harness.client import Client
from harness.descriptions import describe
from harness.waiting import wait_until


def ask(running, path):
    with Client(int(running.ready["admin"])) as client:
        return client.get(path, ("Connection", "close"))


def statuses(running):
    return [ask(running, path).status for path in ("/livez", "/startupz", "/readyz")]


def test_all_is_well_once_the_ready_file_is_there(gateway):
    running = gateway(describe(["/a"]), settings="[runtimeConfig]\nworkers = 2\n")
    assert statuses(running) == [200, 200, 200]
    about = json.loads(ask(running, "/version").body)
    assert about["engine"]
    assert ask(running, "/metrics").header("Content-Type").startswith("text/plain; version=0.0.4")


def test_readiness_fails_first_when_it_is_told_to_stop(gateway, backend):
    release = threading.Event()
    running = gateway(describe(["/a"]))
    backend.script = held(release)
    with running.connect() as client:
        client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_for(1)
        os.kill(running.pid, signal.SIGTERM)
        wait_until(lambda: statuses(running) == [200, 200, 503], "not ready, but alive")
        release.set()
        assert client.answer().status == 200
    assert running.process.wait(10) == 0
    assert len(running.access_log.read_text().splitlines()) == 1


def test_traffic_and_administration_do_not_meet(gateway, backend):
    running = gateway(describe(["/a"]))
    for path in ("/metrics", "/readyz", "/livez", "/version"):
        with running.connect() as client:
            assert client.get(path).status == 404
    assert ask(running, "/a").status == 404
    assert backend.requests == []


def test_health_on_the_traffic_port(gateway, backend):
    """WSO2 §14.2: any method, any sub-path, no token, nothing asked."""
    running = gateway(describe(["/a"], secured=True))
    with running.connect() as client:
        for method, path in (("GET", "/health"), ("POST", "/health"), ("GET", "/health/deep/er"), ("PUT", "/health")):
            answer = client.request(method, path)
            assert (answer.status, answer.body) == (200, b'{"status":"healthy"}')
        assert client.request("HEAD", "/health").status == 200
        assert client.get("/healthy").status == 404
    assert backend.requests == []


def test_it_can_be_turned_off(gateway):
    running = gateway(describe(["/a"]), settings="[adminConfig]\nport = -1\n")
    assert running.ready["admin"] is None
    with running.connect() as client:
        assert client.get("/a").status == 200
    assert len(running.log_lines(1)) == 1
