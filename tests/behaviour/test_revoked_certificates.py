"""Certificates that stop being good while the gateway runs: revoked, or expired on a kept connection or in a resumed session."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket

import pytest

from harness.authority import authority
from harness.certified import ALERT, Certified
from harness.client import Client
from harness.waiting import wait_until

OPEN = {"secured": False, "x_wso2_mutual_ssl": "mandatory"}


@pytest.fixture
def certified(gateway, tmp_path, identity):
    return Certified(gateway, tmp_path, identity)


def test_r13_a_revoked_certificate_is_refused_once_its_list_says_so(certified, tmp_path):
    lists = tmp_path / "revoked.crl"
    revoked, other = certified.root.issue("revoked"), certified.root.issue("other")
    lists.write_bytes(certified.root.revoke())
    running = certified.start(mutual=f'crlFiles = ["{lists}"]', **OPEN)
    with Client(running.https, tls=certified.tls(revoked)) as kept:
        assert kept.get("/a").status == 200
        lists.write_bytes(certified.root.revoke(revoked, number=2))
        wait_until(lambda: kept.get("/a").status == 401, "the new list is in use")
    assert certified.call(revoked) == (401, 900901)
    assert certified.call(other) == (200, None)
    wait_until(lambda: "auth.mutual_tls.revoked" in running.access_log.read_text(), "the log says why")
    lists.write_bytes(b"x")
    wait_until(lambda: "the last good list stays in use" in running.output, "a bad list is reported")
    assert certified.call(revoked) == (401, 900901)


def test_a_list_past_its_next_update_vouches_for_nobody(certified, tmp_path):
    lists = tmp_path / "revoked.crl"
    lists.write_bytes(certified.root.revoke(days=(-2, -1)))
    running = certified.start(mutual=f'crlFiles = ["{lists}"]', **OPEN)
    assert certified.call(certified.root.issue("client")) == (401, 900901)
    assert running.log_lines(1)[0]["reason"] == "auth.mutual_tls.list_expired"


@pytest.mark.parametrize("tls12", [False, True])
def test_r13_an_expired_certificate_is_refused_on_a_kept_connection_and_in_a_resumed_session(certified, tls12):
    running = certified.start(**OPEN)
    seconds = 4 / 86_400
    client = certified.root.issue("client", days=(-1, seconds))
    context = certified.tls(client, tls12=tls12)
    with Client(running.https, tls=context) as kept:
        assert kept.get("/a").status == 200
        session = kept.socket.session
        ends = client.certificate.not_valid_after_utc
        wait_until(
            lambda: dt.datetime.now(dt.UTC) > ends + dt.timedelta(seconds=1), "the certificate expires", seconds=10
        )
        assert kept.get("/a").status == 401
    raw = socket.create_connection(("127.0.0.1", running.https), 5)
    with context.wrap_socket(raw, server_hostname="localhost", session=session) as resumed:
        assert resumed.session_reused
        resumed.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert resumed.recv(12) == b"HTTP/1.1 401"
    reasons = [line["reason"] for line in running.log_lines(3)]
    assert reasons == ["", *["auth.mutual_tls.expired"] * 2]


def test_authorities_come_and_go_without_a_restart(certified):
    running = certified.start(**OPEN)
    before = certified.trusted.read_bytes()
    other = authority("other")
    known, stranger = certified.root.issue("known"), other.issue("stranger")
    assert (certified.call(known), certified.call(stranger)) == ((200, None), ALERT)
    certified.trusted.write_bytes(before + other.pem)
    wait_until(lambda: certified.call(stranger) == (200, None), "the new authority is trusted", seconds=10)
    for bad in (b"nothing of use", before[:-60]):
        complaints = running.output.count("stays in use")
        certified.trusted.write_bytes(bad)
        wait_until(lambda count=complaints: running.output.count("stays in use") >= count + 2, "it says so", seconds=10)
        assert (certified.call(known), certified.call(stranger)) == ((200, None), (200, None))
    context = certified.tls(known)
    with Client(running.https, tls=context) as kept:
        assert kept.get("/a").status == 200
        session = kept.socket.session
        certified.trusted.write_bytes(other.pem)
        wait_until(lambda: kept.get("/a").status == 401, "a kept connection is refused", seconds=10)
    raw = socket.create_connection(("127.0.0.1", running.https), 5)
    with context.wrap_socket(raw, server_hostname="localhost", session=session) as resumed:
        resumed.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert resumed.recv(12) == b"HTTP/1.1 401"
    assert certified.call(known) == (401, 900901)
    assert certified.call(stranger) == (200, None)
    wait_until(lambda: "auth.mutual_tls.untrusted" in running.access_log.read_text(), "the log says why")


def test_a_worker_that_begins_anew_while_the_authorities_are_broken_trusts_the_last_good_ones(certified):
    running = certified.start(**OPEN)
    client = certified.root.issue("client")
    assert certified.call(client) == (200, None)
    certified.trusted.write_bytes(b"nothing of use")
    children = {pid for pid in running.processes() if pid != running.pid}
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "the last good authorities stay in use" in running.output, "a successor begins", seconds=10)
    wait_until(lambda: certified.call(client) == (200, None), "it trusts the same", seconds=10)
