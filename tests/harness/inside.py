"""A gateway within the test's own process and loop: real sockets and the real assembly, without fork, for tests by the thousand.

`Inside` also counts what the gateway says it did: its access-log lines and its gauge of requests in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from harness.aio import until
from microgate.diagnostics import Report
from microgate.runtime.assembly import assemble
from microgate.runtime.control import LogLines
from microgate.runtime.observability.metrics import Metrics, Totals, region_size
from microgate.runtime.regions import Regions
from microgate.settings.load import Sources, load
from microgate.toolkit.compiler import compile_description

if TYPE_CHECKING:
    from pathlib import Path

# Enough for the channel never to be full: the steward's end is this test.
_DEFAULTS = {"accessLogConfig.format": "json"}


class Inside:
    """`async with Inside(folder, description) as gateway:`; `gateway.port` is where it listens."""

    def __init__(self, folder: Path, description: str, **settings: object) -> None:
        file = folder / "api.json"
        file.write_text(description)
        report = Report()
        plan = compile_description(file, report)
        assert plan is not None, report.diagnostics
        overrides = {key: str(value) for key, value in (_DEFAULTS | settings).items()}
        self._plan = plan
        self._settings = load(Sources(overrides=tuple(overrides.items()))).settings
        self._lines: list[bytes] = []
        self.port = 0
        self.made: list[Any] = []  # the gateway's ends of the newest connections

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        region = bytearray(region_size(self._plan, 1))
        services = SimpleNamespace(
            slot=0,
            workers=1,
            loop=loop,
            channel=self,
            metrics=region,
            max_connections=100_000,
            https_port=None,
            regions=Regions(),
        )
        self.gateway = assemble(self._plan, self._settings, services)
        self.metrics = Metrics(region, self._plan, 0)
        self.totals = Totals(region, self._plan, 1)
        self._server = await loop.create_server(self._make, "127.0.0.1", 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()
        if failure[0] is None:
            with contextlib.suppress(AssertionError):
                await until(lambda: self.active == 0, seconds=2)
        active = self.active
        await self.gateway.close()
        await asyncio.sleep(0)
        assert failure[0] is not None or active == 0, f"{active} requests never ended"

    def _make(self) -> asyncio.Protocol:
        connection = self.gateway.connection("http")
        self.made = [*self.made[-9:], connection]
        return connection

    # control.Channel, as the gateway sees it.

    def send(self, message: Any) -> bool:
        if isinstance(message, LogLines):
            self._lines += message.data.splitlines()
        return True

    def subscribe(self, kind: type, handler: object) -> None:
        pass

    # What it says of itself.

    @property
    def active(self) -> int:
        """Requests in flight, as the metrics have it."""
        return self.totals.gauge("active_requests")

    def new_lines(self) -> list[dict[str, Any]]:
        """The access log since the last time."""
        self.gateway._accounting._sink.flush()
        lines, self._lines = self._lines, []
        return [json.loads(line) for line in lines]

    async def log_lines(self) -> list[dict[str, Any]]:
        """The access log so far, once nothing is in flight."""
        await until(lambda: self.active == 0, "nothing is in flight")
        await self.gateway._accounting._sink.close()
        return [json.loads(line) for line in self._lines]

    async def connect(self, *, limit: int = 2**22) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)
