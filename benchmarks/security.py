"""What each way of proving who calls costs in process, in microseconds above the same operation with security off.

Run with `python benchmarks/security.py`; whole requests through a gateway's own code, from the bytes of the request to those of
the answer, without sockets and without a backend. Best of many rounds that take turns; every credential was seen before.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import mmap
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from harness.credentials import ISSUER, mint, public_pem
from harness.descriptions import describe
from microgate.diagnostics import Report
from microgate.runtime.assembly import Gateway
from microgate.runtime.faults import Answer
from microgate.runtime.observability.metrics import region_size
from microgate.runtime.regions import Regions
from microgate.settings.load import Sources, load
from microgate.toolkit.compiler import compile_description

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange

KEY_ISSUER = "https://keys.test"
ROUNDS, CALLS = 40, 500
BUDGETS = {"jwt": 3.0, "jwt and scopes": 4.0, "opaque token": 3.0, "API key": 3.0, "basic": 3.0}
SCHEMES = {
    "oauth": {"type": "oauth2", "flows": {}},
    "login": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
}
PATHS = {
    "/open": {"get": {"x-wso2-disable-security": True}},
    "/bearer": {"get": {"security": [{"oauth": []}]}},
    "/scopes": {"get": {"security": [{"oauth": ["a", "read"]}]}},
    "/login": {"get": {"security": [{"login": []}]}},
    "/key": {"get": {"security": [{"key": []}]}},
}


class Transport:
    """The client's side of a connection: keeps what was written last."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def get_extra_info(self, name: str) -> object:
        return ("192.0.2.7", 4711) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


async def introspect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An authorization server that knows every token."""
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"active": True, "username": "alice", "scope": "read", "exp": int(time.time()) + 3600}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()


def settings_text(folder: Path, port: int) -> str:
    (folder / "issuer.pem").write_bytes(public_pem())
    digest = hashlib.sha256(b"secret").hexdigest()
    return (
        f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "{folder}/issuer.pem"\n'
        f'[keyManager]\nintrospectionURL = "http://127.0.0.1:{port}/introspect"\n'
        f'[b7a.users.ann]\npassword = "@sha256:{{{digest}}}"\n'
        f'[apikey.tokenConfigs]\nissuer = "{KEY_ISSUER}"\ncertificateFile = "{folder}/issuer.pem"\n'
    )


def request(path: str, *fields: str) -> bytes:
    usual = ("Host: api.test", "User-Agent: bench-client/1.0", "Accept: application/json")
    return "\r\n".join((f"GET {path} HTTP/1.1", *usual, *fields, "", "")).encode()


def requests() -> dict[str, bytes]:
    token = f"Authorization: Bearer {mint(scope='read write')}"
    login = base64.b64encode(b"ann:secret").decode()
    return {
        "security off": request("/open"),
        "jwt": request("/bearer", token),
        "jwt and scopes": request("/scopes", token),
        "opaque token": request("/bearer", "Authorization: Bearer 0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        "API key": request("/key", f"X-Key: {mint(iss=KEY_ISSUER, keytype='PRODUCTION')}"),
        "basic": request("/login", f"Authorization: Basic {login}"),
    }


class Nowhere:
    """In place of backends."""

    def forward(self, *_: object) -> Callable[[Exchange], None]:
        return self.reply

    def reply(self, exchange: Exchange) -> None:
        exchange.answer(Answer(200, [(b"Content-Type", b"text/plain")], b"x" * 50))

    def close(self) -> None:
        pass


def gateway(folder: Path, port: int) -> Gateway:
    description = folder / "api.json"
    description.write_text(
        describe(PATHS, backend="http://127.0.0.1:9", secured=True, components={"securitySchemes": SCHEMES}),
        encoding="utf-8",
    )
    file = folder / "micro-gw.conf"
    file.write_text(settings_text(folder, port), encoding="utf-8")
    report = Report()
    plan = compile_description(description, report)
    assert plan is not None, report.diagnostics
    channel = SimpleNamespace(send=bool, subscribe=lambda *_: None)
    services: Any = SimpleNamespace(
        loop=asyncio.get_running_loop(),
        channel=channel,
        slot=0,
        workers=1,
        metrics=mmap.mmap(-1, region_size(plan, 1)),
        max_connections=1_000,
        https_port=None,
        regions=Regions(),
    )
    made = Gateway(plan, load(Sources(file=file)).settings, services)
    made._linker._backends = Nowhere()  # type: ignore[assignment] # noqa: SLF001 - the one part that is not measured
    return made


async def measure(folder: Path) -> dict[str, float]:
    server = await asyncio.start_server(introspect, "127.0.0.1", 0)
    made = gateway(folder, server.sockets[0].getsockname()[1])
    connection, transport = made.connection("http"), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type] - a stand-in
    steps: dict[str, Callable[[], None]] = {}
    for name, data in requests().items():
        for _ in range(2):  # the first time it may have to be asked for
            transport.written = b""
            connection.data_received(data)
            async with asyncio.timeout(5):
                while not transport.written:  # noqa: ASYNC110 - the transport has no event
                    await asyncio.sleep(0.01)
        assert transport.written.startswith(b"HTTP/1.1 200"), (name, transport.written)
        steps[name] = lambda data=data: connection.data_received(data)  # type: ignore[misc] - bound at once
    best = dict.fromkeys(steps, 1e9)
    for _ in range(ROUNDS):
        for name, step in steps.items():
            began = time.process_time()
            for _ in range(CALLS):
                step()
            best[name] = min(best[name], (time.process_time() - began) / CALLS * 1e6)
        await asyncio.sleep(0)
    await made.close()
    server.close()
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        best = asyncio.run(measure(Path(scratch)))
    off = best["security off"]
    print(f"{'':18}{'us':>7}{'above':>8}{'budget':>8}")
    print(f"{'security off':18}{off:7.1f}")
    for name, budget in BUDGETS.items():
        print(f"{name:18}{best[name]:7.1f}{best[name] - off:+8.1f}{budget:+8.1f}")


if __name__ == "__main__":
    main()
