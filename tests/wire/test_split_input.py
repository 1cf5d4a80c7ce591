"""R2 again, one byte at a time: a refusal does not depend on how the bytes of a request are cut into packets."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from harness import wire_cases
from harness.messages import Ended

HERE = Path(__file__).parent / "strict_http1"


def _cases(name):
    file = wire_cases.load(HERE / name)
    return [pytest.param(file, case, id=case["name"]) for case in file.cases if "raw" in case]


def _send_in_bytes(client, data):
    with contextlib.suppress(OSError):  # refused before the end
        for position in range(len(data)):
            client.send(data[position : position + 1])


@pytest.mark.parametrize(("file", "case"), _cases("heads.yaml") + _cases("versions.yaml"))
def test_a_bad_head_is_refused_byte_by_byte(file, case, shared_pair):
    pair = shared_pair(file.descriptions, file.settings)
    with pair.gateway.connect() as client:
        _send_in_bytes(client, wire_cases.request_bytes(case))
        with contextlib.suppress(Ended):
            assert client.answer().status in (400, 408, 505)
        assert pair.backend.bytes == 0


@pytest.mark.parametrize(("file", "case"), _cases("bodies.yaml"))
def test_a_bad_body_is_refused_byte_by_byte(file, case, shared_pair):
    """The head may be on its way by then; the backend must never take the request for whole."""
    pair = shared_pair(file.descriptions, file.settings)
    with pair.gateway.connect() as client:
        _send_in_bytes(client, wire_cases.request_bytes(case))
        with contextlib.suppress(Ended):
            assert client.answer("POST").status == 400
    assert not any(request.complete for request in pair.backend.requests)


@pytest.mark.parametrize(("file", "case"), _cases("accepted.yaml"))
def test_a_right_request_is_served_byte_by_byte(file, case, shared_pair):
    pair = shared_pair(file.descriptions, file.settings)
    with pair.gateway.connect() as client:
        _send_in_bytes(client, wire_cases.request_bytes(case))
        assert client.answer().status == 200
        if "seen" in case and case["seen"].get("count", 1) == 1:
            wire_cases.check_seen(pair.backend, case["seen"])
