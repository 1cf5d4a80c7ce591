"""Who holds a port, found out for the message of a start that failed."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from microgate.runtime.port_holder import find_holder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_process_that_listens_is_named(family: socket.AddressFamily, host: str):
    with socket.socket(family) as holder:
        holder.bind((host, 0))
        holder.listen()
        assert find_holder(holder.getsockname()[1]).startswith(f"pid {os.getpid()} (")


def test_a_socket_that_does_not_listen_is_no_holder():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert find_holder(bound.getsockname()[1]) == ""


def test_where_the_system_does_not_tell_there_is_no_answer(tmp_path: Path):
    assert find_holder(80, tmp_path) == ""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
    )
    assert find_holder(80, tmp_path) == ""
