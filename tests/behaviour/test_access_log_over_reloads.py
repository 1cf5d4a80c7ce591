"""The access log while two versions write it: whatever it goes to, each line is whole and none is lost."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest

from harness.backend import held
from harness.descriptions import BACKEND, describe
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.backend import Backend
    from harness.process import GatewayProcess

AGENT = "u" * 4_000  # a line is longer than what a pipe takes in one piece
HELD, EACH = 30, 30


class Reader:
    """Reads a small pipe bit by bit, so that whoever writes to it is mostly in the middle of a line."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, 4096)
        self.data = bytearray()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.data += os.read(self._file, 1_000)
            except BlockingIOError:
                self._stop.wait(0.0005)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        os.close(self._file)


def ask(count: int, running: GatewayProcess) -> None:
    for _ in range(count):  # each on a connection of its own: the old version closes those it has
        with running.connect() as client:
            assert client.get("/nothing", ("User-Agent", AGENT)).status == 404


def both_versions_log(running: GatewayProcess, backend: Backend, release: threading.Event) -> int:
    """Have the old version finish many requests while the new one serves others; how many in all."""
    with ExitStack() as opened:
        old = [opened.enter_context(running.connect()) for _ in range(HELD)]
        for client in old:
            client.send(f"GET /held HTTP/1.1\r\nHost: a\r\nUser-Agent: {AGENT}\r\n\r\n")
        backend.wait_for(HELD)
        running.folder.joinpath("api.json").write_text(describe(["/held", "/b"]).replace(BACKEND, backend.url))
        wait_until(lambda: "the new version serves" in running.output, "the new one is served", seconds=10)
        askers = [threading.Thread(target=ask, args=(EACH, running)) for _ in range(2)]
        for asker in askers:
            asker.start()
        release.set()
        for client in old:
            assert client.answer().status == 200
        for asker in askers:
            asker.join(20)
    return HELD + 2 * EACH


def check(data: bytes, count: int) -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines()]
    assert len({line["request_id"] for line in lines}) == len(lines) == count
    assert sum(line["path"] == "/held" for line in lines) == HELD


@pytest.mark.parametrize("to", ["file", "pipe"])
def test_lines_of_two_versions_are_whole_and_none_is_lost(
    tmp_path: Path, gateway: Callable[..., GatewayProcess], backend: Backend, to: str
):
    release = threading.Event()
    backend.scripts["/held"] = held(release)
    path = tmp_path / "log"
    settings = f'[accessLogConfig]\npath = "{path}"\n[runtimeConfig]\nworkers = 2\n'
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    with ExitStack() as opened:
        reader = opened.enter_context(Reader(path)) if to == "pipe" else None

        def read() -> bytes:
            return bytes(reader.data) if reader is not None else path.read_bytes()

        running = gateway(describe(["/held"]), settings=settings, environment=home, arguments=["--dev"])
        count = both_versions_log(running, backend, release)
        wait_until(lambda: read().count(b"\n") >= count, "every line is there", seconds=10)
        assert running.stop() == 0
        check(read(), count)
