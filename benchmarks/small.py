"""The built-in runner: wrk, nginx as the backend and as the peer, nothing else.

It measures where the outside harness is absent, and it holds the accounts: lines of the access log, metrics and requests sent
must agree, a forged token must get 401 in the middle of the run, and two workers must share the connections.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import subject
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from processes import Program, ask, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from goals import Row

CONNECTIONS = 50
NAMES = {"jwt": ("microgate-jwt", "s50"), "get50": ("microgate", "s50"), "get1k": ("microgate", "s1k")}

NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; default_type text/plain;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {inner}
}}
"""
BACKEND = """server {{ listen 127.0.0.1:{port};
  location = /echo/v1/s50 {{ return 200 "{small}"; }} location = /echo/v1/s1k {{ return 200 "{large}"; }} }}"""
PEER = """upstream service {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}; location /echo/v1/ {{ proxy_pass http://service; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr; }} }}"""


class Yard:
    """A folder, a backend, an issuer and artefacts: what each run needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend_port = free_port()
        backend = f"http://127.0.0.1:{self.backend_port}/echo/v1"
        self.artefacts = {secured: subject.build(folder, backend, secured=secured) for secured in (False, True)}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (folder / "issuer.pem").write_bytes(
            self.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        _certify(folder)

    def backend(self) -> Program:
        inner = BACKEND.format(port=self.backend_port, small="x" * 50, large="x" * 1024)
        program = self._nginx("backend", inner)
        program.wait_for(self.backend_port)
        return program

    def peer(self, port: int) -> Program:
        return self._nginx("peer", PEER.format(backend=self.backend_port, port=port))

    def _nginx(self, name: str, inner: str) -> Program:
        configuration = self.folder / f"{name}.conf"
        configuration.write_text(NGINX.format(folder=self.folder, name=name, inner=inner), encoding="utf-8")
        command = ["nginx", "-c", str(configuration), "-e", str(self.folder / f"{name}.start.log")]
        return Program(command, self.folder / f"{name}.log")

    def gateway(self, *, secured: bool, workers: int = 1) -> tuple[Program, dict[str, int]]:
        """A started gateway and its ports."""
        ports = {name: free_port() for name in ("http", "https", "admin")}
        configuration = self.folder / "micro-gw.conf"
        text = subject.SETTINGS.format(
            **ports,
            certificate=self.folder / "tls.crt",
            private_key=self.folder / "tls.key",
            issuer="https://issuer.bench.example",
            audience="bench-api",
            issuer_certificate=self.folder / "issuer.pem",
        )
        (self.folder / "access.log").unlink(missing_ok=True)
        log = self.folder / "access.log"
        configuration.write_text(f'{text}\n[accessLogConfig]\npath = "{log}"\n', encoding="utf-8")
        command = [str(subject.MICROGATE), "run", str(self.artefacts[secured])]
        command += ["--config", str(configuration), "--workers", str(workers)]
        return Program(command, self.folder / "gateway.log"), ports

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        body = {"iss": "https://issuer.bench.example", "aud": "bench-api", "sub": "bench", "exp": now + 3600, **claims}
        parts = [_base64url(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, body)]
        signature = self.key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _base64url(signature)])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _certify(folder: Path) -> None:
    """A self-signed certificate for the TLS listener."""
    import datetime as dt

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def missing() -> list[str]:
    """The programs that the small runner needs and does not find."""
    return [name for name in ("wrk", "nginx") if shutil.which(name) is None]


class Load:
    """wrk at work. `finish` gives what it counted."""

    def __init__(self, port: int, path: str, token: str, seconds: int) -> None:
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
        if token:
            command += ["-H", f"Authorization: Bearer {token}"]
        self._process = subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}/echo/v1/{path}"], stdout=subprocess.PIPE, text=True
        )

    def finish(self) -> dict[str, float]:
        out, _ = self._process.communicate(timeout=120)
        found = re.search(r"(\d+) requests in ([\d.]+)s", out)
        assert found is not None, out
        latency = {quantile: _milliseconds(value) for quantile, value in re.findall(r"(\d+)%\s+([\d.]+\w+)", out)}
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        return {
            "requests": int(found[1]),
            "seconds": float(found[2]),
            "p50": latency.get("50", 0.0),
            "p99": latency.get("99", 0.0),
            "errors": int(bad[1]) if bad else 0,
        }


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()  # type: ignore[union-attr] - the pattern was matched
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[unit]


def rounds(yard: Yard, *, count: int, seconds: int) -> list[Row]:
    """Interleaved rounds of microgate and nginx."""
    rows = []
    with yard.backend():
        for number in range(count):
            for scenario, (name, path) in NAMES.items():
                secured = scenario == "jwt"
                program, ports = yard.gateway(secured=secured)
                token = yard.token() if secured else ""
                rows.append(_measured(program, ports["http"], (name, scenario, path, token), seconds) | {"rep": number})
                if not secured:
                    port = free_port()
                    peer = yard.peer(port)
                    rows.append(_measured(peer, port, ("nginx", scenario, path, ""), seconds) | {"rep": number})
    return rows


def _measured(program: Program, port: int, what: tuple[str, str, str, str], seconds: int) -> Row:
    name, scenario, path, token = what
    with program:
        ready = program.wait_for(port)
        Load(port, path, token, 1).finish()
        before = program.cpu_seconds()
        counted = Load(port, path, token, seconds).finish()
        used = program.cpu_seconds() - before
        return {
            "gateway": name,
            "scenario": scenario,
            "cpus": "one",
            "us": used / counted["requests"] * 1e6,
            "rps": counted["requests"] / counted["seconds"],
            "pss_mb": program.memory_mb(),
            "ready_ms": ready * 1000,
            **counted,
        }


def accounts(yard: Yard, *, seconds: int) -> list[str]:
    """Run with a token for a while; what does not agree, in words. Nothing is well."""
    wrong = []
    token = yard.token()
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    program, ports = yard.gateway(secured=True)
    with yard.backend(), program:
        program.wait_for(ports["http"])
        load = Load(ports["http"], "s50", token, seconds)
        time.sleep(seconds / 2)
        status, _ = ask(ports["http"], "/echo/v1/s50", forged)
        if status != 401:
            wrong.append(f"a forged token got {status} in the middle of the run")
        counted = load.finish()
        sent = int(counted["requests"]) + 1
        lines, metered = _settled(yard, ports["admin"])
    if lines != metered:
        wrong.append(f"{lines} lines in the access log, {metered} requests in the metrics")
    # What wrk had in flight when it stopped is not in its count.
    if not sent <= lines <= sent + CONNECTIONS:
        wrong.append(f"{sent} requests sent, {lines} lines in the access log")
    if counted["errors"]:
        wrong.append(f"{counted['errors']} answers were errors")
    print(f"accounts: {sent} requests sent, {lines} lines, {metered} in the metrics, forged token: {status}")
    return wrong


def _settled(yard: Yard, admin: int) -> tuple[int, int]:
    """Lines and metered requests, once neither grows."""
    seen = (-1, -1)
    while True:
        lines = (yard.folder / "access.log").read_bytes().count(b"\n")
        _, text = ask(admin, "/metrics")
        counts = re.findall(r"^http_server_request_duration_seconds_count(?:\{.*\})? (\S+)", text, re.MULTILINE)
        now = (lines, int(sum(float(value) for value in counts)))
        if now == seen:
            return now
        seen = now
        time.sleep(0.3)


def shares(yard: Yard, *, loads: int = 8) -> list[int]:
    """How two workers share connections, in percent: over several loads, because the kernel deals each at random."""
    program, ports = yard.gateway(secured=True, workers=2)
    totals: dict[int, int] = {}
    with yard.backend(), program:
        program.wait_for(ports["http"])
        for _ in range(loads):
            load = Load(ports["http"], "s50", yard.token(), 1)
            time.sleep(0.5)
            for pid, count in program.connections(ports["http"]).items():
                totals[pid] = totals.get(pid, 0) + count
            load.finish()
    return sorted(round(100 * count / sum(totals.values())) for count in totals.values())
