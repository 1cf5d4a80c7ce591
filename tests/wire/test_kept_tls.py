"""Requests one after the other over TLS: on one connection, and on many, by the versions of TLS."""

from __future__ import annotations

import ssl

import pytest

from harness.certified import Certified
from harness.client import Client
from harness.descriptions import describe


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_answer_that_was_taken_at_once_holds_up_nothing(gateway, tmp_path, identity, version):
    certified = Certified(gateway, tmp_path, identity)
    running = certified.start(describe(["/a"]))
    context = certified.tls()
    context.maximum_version = version
    for _ in range(3):
        with Client(running.https, tls=context) as client:
            assert [client.get("/a").status for _ in range(5)] == [200] * 5
