"""The start: what is served where, what the ready file says, and how a start that cannot be says so in one line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from behaviour.processes.running import Running, is_alive
from harness.client import Client
from harness.messages import Ended
from harness.waiting import holds_for, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.credentials import ServerIdentity

MODES = pytest.mark.parametrize("fork", [True, False], ids=["crew", "one process"])


def refused(folder: Path, **given: Any) -> str:
    """What a start that fails prints; it must end with 1 and leave no process behind."""
    gateway = Running(folder, **given)
    done = subprocess.run(gateway.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not (folder / "ready.json").exists()
    return done.stderr


@MODES
def test_every_listener_serves_and_the_ready_file_names_the_real_ports(
    tmp_path: Path, identity: ServerIdentity, fork: bool
):
    unix = tmp_path / "gateway.sock"
    listener = {
        "httpsPort": 0,
        "unixSocket": str(unix),
        "certificateFile": str(identity.certificate_file),
        "privateKeyFile": str(identity.private_key_file),
    }
    with Running(tmp_path, listenerConfig=listener, fork=fork) as gateway:
        assert gateway.ready["pid"] == gateway.pid
        assert set(gateway.ready) == {"pid", "http", "https", "token", "admin"}
        assert gateway.ready["token"] is None
        assert gateway.ask()["scheme"] == "http"
        assert gateway.ask_https(identity)["scheme"] == "https"
        assert gateway.ask(unix=str(unix))["scheme"] == "http"
        assert gateway.admin("/readyz") == 200
    assert not unix.exists()


def test_listeners_that_are_off_are_null_in_the_ready_file(tmp_path: Path):
    with Running(tmp_path, workers=1, adminConfig={"port": -1}) as gateway:
        assert gateway.ready["https"] is None
        assert gateway.ready["admin"] is None


def test_a_gateway_may_serve_a_unix_socket_alone(tmp_path: Path):
    unix = str(tmp_path / "only.sock")
    with Running(tmp_path, workers=1, listenerConfig={"httpPort": -1, "unixSocket": unix}) as gateway:
        assert gateway.ready["http"] is None
        assert gateway.ask(unix=unix)["slot"] == 0


def test_the_any_address_of_ipv6_serves_ipv4_too(tmp_path: Path):
    with Running(tmp_path, listenerConfig={"host": "::"}) as gateway:
        assert gateway.ask(host="127.0.0.1")["scheme"] == "http"
        assert gateway.ask(host="::1")["scheme"] == "http"


def test_a_name_is_served_at_every_address_it_has(tmp_path: Path):
    addresses = {entry[4][0] for entry in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    with Running(tmp_path, listenerConfig={"host": "localhost"}) as gateway:
        for address in addresses:
            assert gateway.ask(host=address)["scheme"] == "http"


@pytest.mark.parametrize("shares", [False, True])
def test_a_taken_port_is_one_line_that_names_the_holder(tmp_path: Path, shares: bool):
    """Also where the holder would share: two gateways on one port would take each other's requests."""
    with socket.socket() as holder:
        if shares:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        printed = refused(tmp_path, listenerConfig={"httpPort": port})
    first, hint = printed.splitlines()
    assert first.startswith(
        f"error: cannot listen on 127.0.0.1:{port} (http): the port is taken by pid {os.getpid()} ("
    )
    assert "--set listenerConfig.httpPort=PORT" in hint


def test_two_gateways_do_not_share_a_port(tmp_path: Path):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with Running(tmp_path / "first") as first:
        printed = refused(tmp_path / "second", listenerConfig={"httpPort": first.http})
        assert "the port is taken by pid" in printed
        assert first.ask()["project"] == "first"


def test_a_taken_admin_port_names_its_own_setting(tmp_path: Path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        printed = refused(tmp_path, adminConfig={"port": port})
    assert f"127.0.0.1:{port} (admin): the port is taken" in printed
    assert "adminConfig.port" in printed


@pytest.mark.parametrize(
    ("listener", "says"),
    [
        ({"httpPort": -1}, "there is no listener: every port is turned off"),
        ({"host": "no.such.host.invalid"}, "cannot listen on `no.such.host.invalid`: no such address"),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1:0 (http): cannot assign requested address"),
        ({"unixSocket": "/proc/nowhere/gateway.sock"}, "cannot listen on `/proc/nowhere/gateway.sock`"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line(tmp_path: Path, listener: dict[str, Any], says: str):
    assert says in refused(tmp_path, listenerConfig=listener).splitlines()[0]


def test_a_unix_socket_left_by_a_killed_gateway_is_replaced(tmp_path: Path):
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Running(tmp_path, workers=1, listenerConfig={"unixSocket": str(path)}) as gateway:
        assert gateway.ask(unix=str(path))["slot"] == 0


def test_a_unix_socket_where_somebody_serves_is_left_alone(tmp_path: Path):
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert "somebody serves there" in refused(tmp_path, listenerConfig={"unixSocket": str(path)})
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_file_at_the_place_of_the_unix_socket_is_left_alone(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    assert "it exists and is no socket" in refused(tmp_path, listenerConfig={"unixSocket": str(path)})
    assert path.read_text() == "keep me"


@MODES
def test_a_project_that_cannot_be_assembled_is_one_line(tmp_path: Path, fork: bool):
    printed = refused(tmp_path, project="broken", fork=fork)
    assert "error: this project cannot be assembled\nhint: mend it\n" in printed


def test_a_worker_that_crashes_while_it_starts_stops_the_start(tmp_path: Path):
    assert "error: worker 0 ended while it started: exit status 3" in refused(tmp_path, project="crashing", workers=1)


def test_a_ready_file_that_cannot_be_written_stops_the_start(tmp_path: Path):
    gateway = Running(tmp_path, workers=1)
    gateway.command[-1] = json.dumps(json.loads(gateway.command[-1]) | {"ready_file": "/proc/nowhere/ready"})
    done = subprocess.run(gateway.command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "cannot write the ready file `/proc/nowhere/ready`" in done.stderr


def test_the_ready_file_appears_whole(tmp_path: Path):
    gateway = Running(tmp_path)
    with gateway:
        assert json.loads((tmp_path / "ready.json").read_text()) == gateway.ready
        assert [file.name for file in tmp_path.iterdir() if "ready" in file.name] == ["ready.json"]


def test_connections_are_spread_evenly_over_the_workers(tmp_path: Path):
    """Each of two workers gets 40 to 60 percent; the bounds here are wider than chance for 400 connections goes."""
    with Running(tmp_path) as gateway:
        answers = [gateway.ask()["slot"] for _ in range(400)]
    assert 0.38 < sum(answers) / len(answers) < 0.62


@MODES
def test_connections_over_the_limit_wait_or_are_closed_and_none_is_served_beyond_it(tmp_path: Path, fork: bool):
    with Running(tmp_path, workers=1, listenerConfig={"maxConnections": 5}, fork=fork) as gateway:
        held = [Client(gateway.http) for _ in range(5)]
        for client in held:
            assert client.get("/").status == 200
        with Client(gateway.http, timeout=0.3) as late:
            late.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises(TimeoutError):
                late.reader.fill()
            held.pop().socket.close()
            late.socket.settimeout(5)
            assert late.answer().status == 200
        for client in held:
            assert client.get("/").status == 200
            client.socket.close()
        wait_until(lambda: gateway.ask()["slot"] == 0, "there is room again")
        assert "5 connections, its limit" in gateway.output


def test_a_worker_without_free_descriptors_recovers(tmp_path: Path):
    """Even where the limit on connections was set higher than the system allows."""
    listener = {"maxConnections": 1000}
    with Running(tmp_path, workers=1, listenerConfig=listener, descriptors=80) as gateway:
        flood = [Client(gateway.http) for _ in range(150)]
        holds_for(lambda: is_alive(gateway.pid))
        for client in flood:
            client.socket.close()
        wait_until(lambda: answers(gateway), "it serves again", seconds=10)
        assert gateway.output.count("\n") < 200
        assert gateway.output.count("is started anew") == 0


def answers(gateway: Running) -> bool:
    try:
        return gateway.ask()["slot"] == 0
    except (OSError, Ended):
        return False


def test_without_uvloop_the_loop_of_python_serves(tmp_path: Path, identity: ServerIdentity):
    unix = tmp_path / "gateway.sock"
    listener = {
        "httpsPort": 0,
        "unixSocket": str(unix),
        "certificateFile": str(identity.certificate_file),
        "privateKeyFile": str(identity.private_key_file),
    }
    with Running(tmp_path, listenerConfig=listener, uvloop=False) as gateway:
        assert gateway.ask()["scheme"] == "http"
        assert gateway.ask_https(identity)["scheme"] == "https"
        assert gateway.ask(unix=str(unix))["scheme"] == "http"
        assert gateway.admin("/readyz") == 200
    assert "Traceback" not in gateway.output
