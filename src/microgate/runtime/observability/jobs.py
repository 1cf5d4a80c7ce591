"""What this room does once: the log writer, the roll of the workers and the admin listener, as jobs of the steward.

`prove` is for the supervisor, before anything serves; the jobs for the steward. Readiness is kept in the shared region, so
that a steward started anew knows who serves.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, TypeAlias

from microgate.runtime.control import Drain, Hello, LogLines
from microgate.runtime.observability import access_log, exposition, log_writer
from microgate.runtime.observability.admin import Admin, Page
from microgate.runtime.observability.log_writer import LogWriter
from microgate.runtime.observability.metrics import Metrics, Totals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from microgate.plan.model import Plan
    from microgate.runtime.control import Hub, Job
    from microgate.runtime.observability.admin import Maker
    from microgate.runtime.observability.ledger import Ledger
    from microgate.runtime.observability.log_gate import LogGate
    from microgate.runtime.observability.metrics import Region
    from microgate.settings.model import Settings

Waits: TypeAlias = "Callable[[], str]"

SHORT_DIGEST = 12  # hex digits of an artefact's digest that tell it from others in a label


def prove(settings: Settings) -> None:
    """Raise SettingsError for a log format that there is not or a log file that cannot be written."""
    wanted = access_log.wanted(settings)
    if access_log.choose(wanted.format) is not None:
        log_writer.prove(wanted.path)


def jobs(plan: Plan, settings: Settings, region: Region, gate: LogGate) -> list[Job]:
    """The jobs of a whole life: who serves, and the access log if the settings ask for one; `region` is counted in."""
    wanted = access_log.wanted(settings)

    async def call_the_roll(hub: Hub) -> None:
        totals = Totals(region, plan, hub.workers)
        count_start = Metrics(region, plan, hub.workers).counter("worker_starts")

        def on_hello(slot: int, message: Hello) -> None:
            if totals.mark_serving(slot, message.pid):
                count_start(1)

        hub.subscribe(Hello, on_hello)
        await asyncio.Event().wait()

    async def write_log(hub: Hub) -> None:
        writer = LogWriter(wanted.path, Metrics(region, plan, hub.workers), gate)
        hub.subscribe(LogLines, writer.put)
        try:
            await asyncio.Event().wait()
        finally:
            await writer.close()

    return [call_the_roll, write_log] if wanted.format != "off" else [call_the_roll]


def leading_jobs(
    plan: Plan, region: Region, ledger: Ledger, admin_socket: socket.socket | None, waits: Waits
) -> list[Job]:
    """The job of the generation that answers for the gateway: the admin listener. The socket listens or is bound.

    `waits` says what the gateway still waits for before it is ready, "" for nothing.
    """
    if admin_socket is None:
        return []

    async def serve_admin(hub: Hub) -> None:
        state = State(plan, region, ledger, hub, waits)
        admin = Admin(state.pages(), {"/metrics": state.metrics})
        # A server closes its socket in the end; a job that is started anew needs another.
        server = await asyncio.get_running_loop().create_server(admin.connection, sock=admin_socket.dup())
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            await admin.close()

    return [serve_admin]


class State:
    """What the admin pages tell: who serves, whether the gateway drains, and the sums of what was counted."""

    def __init__(self, plan: Plan, region: Region, ledger: Ledger, hub: Hub, waits: Waits = str) -> None:
        self._plan = plan
        self._totals = Totals(region, plan, hub.workers)
        self._ledger = ledger
        self._waits = waits
        self._draining = False
        hub.subscribe(Drain, self._on_drain)

    def _on_drain(self, slot: int, message: Drain) -> None:
        self._draining = True

    def pages(self) -> dict[str, Maker]:
        """The pages that are made at once."""
        return {
            "/livez": lambda _: Page(200, b"ok\n"),
            "/readyz": lambda _: self.ready(draining=self._draining),
            "/startupz": lambda _: self.ready(draining=False),
            "/version": lambda _: self.version(),
        }

    def ready(self, *, draining: bool) -> Page:
        """Ready once every worker has begun to serve, until the gateway drains."""
        if draining:
            return Page(503, b"draining\n")
        serving, workers = self._totals.serving, self._totals.workers
        if serving < workers:
            return Page(503, f"{serving} of {workers} workers serve\n".encode())
        waits = self._waits()
        if waits:
            return Page(503, waits.encode())
        return Page(200, b"ok\n")

    def metrics(self, accept: str) -> Page:
        openmetrics = "application/openmetrics-text" in accept
        kind = exposition.OPENMETRICS_TYPE if openmetrics else exposition.PLAIN_TYPE
        page = exposition.render(self._ledger, self._totals.workers, self._info(), openmetrics=openmetrics)
        return Page(200, page, kind)

    def version(self) -> Page:
        about = {**self._info(), "digest": self._plan.digest, "inputs": dict(self._plan.inputs)}
        return Page(200, json.dumps(about, indent=2).encode() + b"\n", "application/json")

    def _info(self) -> dict[str, str]:
        plan = self._plan
        return {"project": plan.project, "engine": plan.engine, "digest": plan.digest[:SHORT_DIGEST]}
