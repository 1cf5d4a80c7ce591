"""What limits cost: microseconds in process above a JWT alone, and processor time of a refused request over an admitted one.

Run with `python benchmarks/throttling.py`. The first table is made as that of `security.py`: whole requests in one process
without sockets or a backend. The second asks a started gateway over real connections, as a refusal saves the backend's side.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import security

from harness.credentials import mint
from harness.descriptions import describe
from harness.process import GatewayProcess
from microgate.diagnostics import Report
from microgate.runtime.assembly import Gateway
from microgate.runtime.observability.metrics import region_size
from microgate.runtime.regions import Regions
from microgate.settings.load import Sources, load
from microgate.toolkit.compiler import compile_project

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CALLS = 40, 500
MUCH = {"count": 1_000_000_000, "unitTime": 1, "timeUnit": "hour"}
ONCE = {"count": 1, "unitTime": 1, "timeUnit": "day"}
BUDGET_ALL = 5.0
ADAPTIVE = "[overloadConfig]\nadaptive = true\n"


class Case(NamedTuple):
    """One row: the policies that its project has, which of them its operation names, and its settings."""

    name: str
    policies: dict[str, list[dict[str, Any]]]
    operation: dict[str, Any]
    settings: str = ""


RESOURCE = {"resourcePolicies": [{"Much": MUCH}]}
SUBSCRIPTION = {"subscriptionPolicies": [{"Gold": MUCH}]}
APPLICATION = {"applicationPolicies": [{"Big": MUCH}]}
TIER = {"x-wso2-throttling-tier": "Much"}
STORE = '[throttlingConfig.store]\nurls = ["redis://127.0.0.1:9"]\n'


def _shared(policies: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The same, told to other gateways by the steward, which is not here."""
    return {
        space: [{name: policy | {"store": "fast"} for name, policy in one.items()} for one in listed]
        for space, listed in policies.items()
    }


CASES = (
    Case("jwt", {}, {}),
    Case("+ operation limit", RESOURCE, TIER),
    Case("+ subscription limit", RESOURCE | SUBSCRIPTION, TIER),
    Case("+ application limit", RESOURCE | SUBSCRIPTION | APPLICATION, TIER),
    Case("+ all three told (fast)", _shared(RESOURCE | SUBSCRIPTION | APPLICATION), TIER, STORE),
    Case("jwt + bound in flight", {}, {"x-microgate-max-in-flight": 100}),
    Case("jwt + adaptive bound", {}, {}, ADAPTIVE),
)
ALL = "+ application limit"
FAST = "+ all three told (fast)"
BUDGET_FAST = 1.0


def description(operation: dict[str, Any], backend: str, path: str = "/a") -> str:
    return describe(
        {path: {"get": {"security": [{"oauth": []}], **operation}}},
        base="/api",
        backend=backend,
        secured=True,
        components={"securitySchemes": {"oauth": {"type": "oauth2", "flows": {}}}},
    )


def token() -> str:
    subscribed = {"name": "api", "context": "/api", "version": "1.0.0", "subscriptionTier": "Gold", "publisher": "ann"}
    return mint(application={"id": 7, "name": "shop", "tier": "Big", "owner": "ann"}, subscribedAPIs=[subscribed])


def request(path: str) -> bytes:
    return security.request(path, f"Authorization: Bearer {token()}")


def gateway(folder: Path, case: Case) -> Gateway:
    definitions = folder / "api_definitions"
    definitions.mkdir(parents=True)
    (definitions / "api.json").write_text(description(case.operation, "http://127.0.0.1:9"), encoding="utf-8")
    if case.policies:
        (folder / "policies.yaml").write_text(json.dumps(case.policies), encoding="utf-8")
    file = folder / "micro-gw.conf"
    file.write_text(security.settings_text(folder, 9) + case.settings, encoding="utf-8")
    report = Report()
    plan = compile_project(folder, report)
    assert plan is not None, report.diagnostics
    services: Any = SimpleNamespace(
        loop=asyncio.get_running_loop(),
        channel=SimpleNamespace(send=bool, subscribe=lambda *_: None),
        slot=0,
        workers=1,
        metrics=mmap.mmap(-1, region_size(plan, 1)),
        max_connections=1_000,
        https_port=None,
        regions=Regions(),
    )
    made = Gateway(plan, load(Sources(file=file)).settings, services)
    made._linker._backends = Answers()  # type: ignore[assignment] # noqa: SLF001 - the one part that is not measured
    return made


class Answers(security.Nowhere):
    """In place of backends, with answers as backends give them."""

    def reply(self, exchange: Any) -> None:
        exchange.upstream_started = exchange.started
        exchange.on_answer(200, b"HTTP/1.1 200 OK", [b"Content-Type: text/plain", b"Content-Length: 2"], b"ok")


async def in_process(folder: Path) -> dict[str, float]:
    steps: dict[str, Callable[[], None]] = {}
    data = request("/api/a")
    for number, case in enumerate(CASES):
        made = gateway(folder / str(number), case)
        connection, transport = made.connection("http"), security.Transport()
        connection.connection_made(transport)  # type: ignore[arg-type] - a stand-in
        for _ in range(3):
            transport.written = b""
            connection.data_received(data)
            async with asyncio.timeout(5):
                while not transport.written:  # noqa: ASYNC110 - the transport has no event
                    await asyncio.sleep(0.01)
        assert transport.written.startswith(b"HTTP/1.1 200"), (case.name, transport.written)
        steps[case.name] = lambda connection=connection: connection.data_received(data)  # type: ignore[misc] - bound at once
    best = dict.fromkeys(steps, 1e9)
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began = time.process_time()
            for _ in range(CALLS):
                step()
            best[name] = min(best[name], (time.process_time() - began) / CALLS * 1e6)
        await asyncio.sleep(0)
    return best


# Refused over admitted.

CONNECTIONS, REPEATS = 16, 40
GOAL_REFUSED = 0.6
PATHS = {"admitted": "/a/x", "refused by a limit": "/b/x", "refused for want of room": "/c/x"}


def backend() -> int:
    """The port of a backend that answers at once, and never what is asked with `?hold`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(65_536):
                if b"?hold" in data:
                    continue
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\n" + b"x" * 50
                )

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def refusals(folder: Path) -> dict[str, float]:
    """Microseconds of a worker's processor time for each request."""
    url = f"http://127.0.0.1:{backend()}"
    operations = (
        {"x-wso2-throttling-tier": "Much"},
        {"x-wso2-throttling-tier": "Once"},
        {"x-microgate-max-in-flight": 1},
    )
    bases = zip("abc", operations, strict=True)
    descriptions = [
        description(operation, url, "/x")
        .replace('"/api"', f'"/{base}"')
        .replace('"title": "api"', f'"title": "{base}"')
        for base, operation in bases
    ]
    policies = {"resourcePolicies": [{"Much": MUCH}, {"Once": ONCE}]}
    best = dict.fromkeys(PATHS, 1e9)
    with GatewayProcess(folder, descriptions, files={"policies.yaml": json.dumps(policies)}) as running:

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", running.http))

        with connect() as holding, contextlib.ExitStack() as open_ones:
            holding.sendall(request("/c/x?hold"))
            lines = {name: [open_ones.enter_context(connect()) for _ in range(CONNECTIONS)] for name in PATHS}
            for _ in range(12):
                for name, path in PATHS.items():
                    before = _processor_us(running.processes())
                    status = _ask_all(lines[name], request(path))
                    after = _processor_us(running.processes())
                    assert status == (200 if name == "admitted" else 503 if "room" in name else 429), (name, status)
                    spent = max(after[pid] - before[pid] for pid in before)
                    best[name] = min(best[name], spent / CONNECTIONS / REPEATS)
    return best


def _ask_all(connections: list[socket.socket], data: bytes) -> int:
    answer = b""
    for _ in range(REPEATS):
        for one in connections:
            one.sendall(data)
        for one in connections:
            answer = one.recv(65_536)
    return int(answer[9:12])


def _processor_us(processes: list[int]) -> dict[int, float]:
    return {pid: int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1_000 for pid in processes}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        best = asyncio.run(in_process(Path(scratch)))
    alone = best["jwt"]
    print(f"{'':28}{'us':>7}{'above':>8}{'budget':>8}")
    budgets = {ALL: BUDGET_ALL, FAST: best[ALL] - alone + BUDGET_FAST}
    for name, found in best.items():
        budget = f"{budgets[name]:+8.1f}" if name in budgets else ""
        print(f"{name:28}{found:7.1f}{found - alone:+8.1f}{budget}")
    with tempfile.TemporaryDirectory() as scratch:
        found = refusals(Path(scratch))
    print(f"\n{'':28}{'us':>7}{'of':>8}{'goal':>8}")
    for name, spent in found.items():
        print(f"{name:28}{spent:7.1f}{spent / found['admitted']:8.2f}{GOAL_REFUSED:8.2f}")


if __name__ == "__main__":
    main()
