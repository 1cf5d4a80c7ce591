"""R29, the stop: readiness fails first, what is in flight finishes within the grace period, and nobody waits longer."""

from __future__ import annotations

import os
import signal
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from behaviour.processes.running import Running, is_alive, is_refused, unchecked
from harness.client import Client
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

MODES = pytest.mark.parametrize("fork", [True, False], ids=["crew", "one process"])


def begin_slowly(gateway: Running) -> Client:
    """A request that is answered once the gate is opened."""
    client = Client(gateway.http)
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    gateway.ask()
    return client


@MODES
def test_case_56_requests_in_flight_finish_new_ones_are_refused_and_readiness_has_failed(tmp_path: Path, fork: bool):
    with Running(tmp_path, fork=fork) as gateway:
        family = gateway.processes()
        slow = begin_slowly(gateway)
        idle = Client(gateway.http)
        assert idle.get("/").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(gateway.http), "new connections are refused")
        assert gateway.admin("/readyz") == 503
        assert gateway.admin("/livez") == 200
        assert idle.is_closed()
        gateway.gate.touch()
        answer = slow.answer()
        assert answer.status == 200
        assert ("Connection", "close") in answer.headers
        assert gateway.process.wait(5) == 0
        assert not any(map(is_alive, family))
        slow.socket.close()
        idle.socket.close()


@MODES
def test_the_exit_is_at_most_a_second_after_the_grace_period(tmp_path: Path, fork: bool):
    with Running(tmp_path, grace_ms=500, fork=fork) as gateway:
        with begin_slowly(gateway) as slow:
            told = monotonic()
            assert gateway.stop() == 0
            assert 0.5 <= monotonic() - told < 1.5
            assert slow.until_closed() == b""
        assert "1 requests are cut off" in gateway.output


def test_a_worker_that_hangs_does_not_hold_up_the_exit(tmp_path: Path):
    with Running(tmp_path, workers=1, grace_ms=300) as gateway:
        os.kill(gateway.worker_pids()[0], signal.SIGSTOP)
        told = monotonic()
        assert gateway.stop() == 0
        assert monotonic() - told < 1.3


def test_a_steward_that_hangs_does_not_hold_up_the_exit(tmp_path: Path):
    with Running(tmp_path, workers=1, grace_ms=300) as gateway:
        os.kill(gateway.steward_pid(), signal.SIGSTOP)
        told = monotonic()
        assert gateway.stop() == 0
        assert monotonic() - told < 1.3


@MODES
def test_a_second_signal_ends_at_once(tmp_path: Path, fork: bool):
    with Running(tmp_path, grace_ms=30_000, fork=fork) as gateway, begin_slowly(gateway) as slow:
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(gateway.http))
        told = monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
        assert monotonic() - told < 1.0
        assert slow.until_closed() == b""


@MODES
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_drains_as_to_the_first_process(tmp_path: Path, number: signal.Signals, fork: bool):
    """So does Ctrl-C in a terminal, and a service manager that signals every process."""
    with Running(tmp_path, fork=fork) as gateway:
        with begin_slowly(gateway) as slow:
            os.killpg(gateway.pid, number)
            wait_until(lambda: is_refused(gateway.http))
            gateway.gate.touch()
            assert slow.answer().status == 200
        assert gateway.process.wait(5) == 0
        assert "Traceback" not in gateway.output


def test_a_stop_during_the_start_ends_cleanly(tmp_path: Path):
    gateway = Running(tmp_path, workers=4)
    gateway.start_without_waiting()
    try:
        wait_until(lambda: len(gateway.processes()) > 2, "the first children are there")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(5) == 0
        assert "Traceback" not in gateway.output
    finally:
        gateway.kill()


def test_connections_that_the_kernel_has_accepted_are_answered_and_not_reset(tmp_path: Path):
    with Running(tmp_path, workers=1) as gateway:
        pid = gateway.worker_pids()[0]
        os.kill(pid, signal.SIGSTOP)
        waiting = [Client(gateway.http) for _ in range(20)]
        for client in waiting:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: gateway.admin("/readyz") == 503)
        os.kill(pid, signal.SIGCONT)
        for client in waiting:
            with client:
                assert client.answer().status == 200
        assert gateway.process.wait(5) == 0


@MODES
def test_a_handshake_that_has_begun_may_finish_and_bring_its_request(tmp_path: Path, fork: bool):
    with Running(tmp_path, workers=1, listenerConfig={"httpsPort": 0}, fork=fork) as gateway:
        assert gateway.ask_https()["slot"] == 0
        with Client(gateway.https) as client:
            # The worker has this connection, but nothing of a handshake yet.
            assert gateway.ask_https()["slot"] == 0
            gateway.process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_refused(gateway.https), "new connections are refused")
            client.socket = unchecked().wrap_socket(client.socket)
            answer = client.get("/")
            assert answer.status == 200
            assert ("Connection", "close") in answer.headers
        assert gateway.process.wait(5) == 0


def test_a_client_that_never_finishes_its_handshake_does_not_hold_up_the_exit(tmp_path: Path):
    with Running(tmp_path, workers=1, listenerConfig={"httpsPort": 0}) as gateway, Client(gateway.https):
        assert gateway.ask_https()["slot"] == 0
        told = monotonic()
        assert gateway.stop() == 0
        assert monotonic() - told < 2.5


def test_a_successor_may_take_the_addresses_while_the_grace_period_runs(tmp_path: Path):
    unix = tmp_path / "gateway.sock"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with Running(tmp_path / "first", listenerConfig={"unixSocket": str(unix)}) as first, begin_slowly(first) as slow:
        first.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(first.http))
        listener = {"unixSocket": str(unix), "httpPort": first.http}
        with Running(tmp_path / "second", project="second", listenerConfig=listener) as second:
            assert second.ask()["project"] == "second"
            assert second.ask(unix=str(unix))["project"] == "second"
            first.gate.touch()
            assert slow.answer().status == 200
            assert first.process.wait(5) == 0
            assert second.ask(unix=str(unix))["project"] == "second"
