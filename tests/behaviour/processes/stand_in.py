"""A process to test processes with: `serve` around a gateway that answers by its path and knows nothing else.

Run as a script with one JSON argument: `settings` by section, `project` (the plan's name; `broken` and `crashing` are what
they say), `descriptors` (their limit), `uvloop`, `fork`, `ready_file`, `gate`, `project_file` (the name of the next plan, for
reloads). Paths: `/slow` is answered once the file `gate` is there, `/die` ends the worker, `/stick` never returns, any other
tells who answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import msgspec

from microgate.errors import MicrogateError
from microgate.plan.model import Plan
from microgate.runtime.supervisor import Generation, serve
from microgate.settings.model import Settings

GATE = "/nowhere"


class Connection(asyncio.Protocol):
    def __init__(self, gateway: StandIn, scheme: str) -> None:
        self.gateway = gateway
        self.scheme = scheme
        self.busy = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.gateway.members.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.members.discard(self)
        self.busy = False

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ")[1].decode()
        if path == "/die":
            os._exit(9)
        if path == "/stick":
            while True:
                pass
        self.busy = True
        if path == "/slow":
            self.wait()
        else:
            self.answer()

    def wait(self) -> None:
        if Path(self.gateway.gate).exists():
            self.answer()
        elif not self.transport.is_closing():
            asyncio.get_running_loop().call_later(0.01, self.wait)

    def answer(self) -> None:
        gateway = self.gateway
        body = json.dumps(
            {"pid": os.getpid(), "slot": gateway.slot, "scheme": self.scheme, "project": gateway.project}
        ).encode()
        close = b"Connection: close\r\n" if gateway.draining else b""
        self.transport.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (close, len(body), body))
        self.busy = False
        if gateway.draining:
            self.transport.close()


class StandIn:
    def __init__(self, plan: Plan, settings: Settings, services: Any) -> None:
        if plan.project == "broken":
            raise MicrogateError("this project cannot be assembled", "mend it")
        if plan.project == "crashing":
            os._exit(3)
        self.gate = GATE
        self.project = plan.project
        self.slot = services.slot
        self.members: set[Connection] = set()
        self.draining = False

    @property
    def in_flight(self) -> int:
        return sum(member.busy for member in self.members)

    @property
    def connections(self) -> int:
        return len(self.members)

    def connection(self, scheme: str) -> asyncio.Protocol:
        return Connection(self, scheme)

    def begin_drain(self) -> None:
        self.draining = True
        # As the real one does: a request may be on its way.
        asyncio.get_running_loop().call_later(0.3, self.close_idle)

    def close_idle(self) -> None:
        for member in list(self.members):
            if not member.busy:
                member.transport.close()

    def close(self) -> None:
        for member in list(self.members):
            member.transport.abort()


def main(options: dict[str, Any]) -> int:
    global GATE  # noqa: PLW0603 - set once, before the forks
    GATE = options.get("gate", GATE)
    if "descriptors" in options:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"],) * 2)
    if not options.get("uvloop", True):
        sys.modules["uvloop"] = None  # type: ignore[assignment] - as where it is not installed
    settings = msgspec.convert(options["settings"], Settings)
    plan = Plan(project=options.get("project", "first"), engine="0", apis=(), upstreams=())
    project = Path(options["project_file"]) if "project_file" in options else None

    def reload() -> tuple[Plan, Settings] | None:
        assert project is not None
        name = project.read_text().strip()
        return (msgspec.structs.replace(plan, project=name), settings) if name else None

    generation = Generation(
        plan,
        settings,
        ready_file=Path(options["ready_file"]) if "ready_file" in options else None,
        reload=reload if project is not None else None,
        watch=(project,) if project is not None else (),
    )
    try:
        return serve(generation, StandIn, fork=options.get("fork", True))
    except MicrogateError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
