"""The quick start, done as it is written: every line of its shell blocks, in order, in a new folder and an empty home."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.backend import Backend, respond
from harness.credentials import ISSUER, mint, public_pem
from harness.curl import install_curl
from harness.pages import blocks
from harness.sources import ROOT
from harness.waiting import wait_until

BIN = Path(sys.executable).parent


class Reader:
    """Someone who follows a page: one shell after the other, gateways in the background, on free ports."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self.running = running
        self.port = 0
        path = os.pathsep.join((str(BIN), os.environ["PATH"]))
        if shutil.which("curl") is None:
            (folder / "bin").mkdir()
            install_curl(folder / "bin" / "curl")
            path = os.pathsep.join((str(folder / "bin"), path))
        self._environment = {
            "PATH": path,
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
        }
        (folder / "home").mkdir()
        (folder / "examples").mkdir()
        shutil.copytree(ROOT / "examples" / "petstore", folder / "examples" / "petstore")

    def do(self, line: str) -> str:
        """Type a line; what it printed. A line that serves is left running."""
        if re.match(r"microgate run|\S+/target/\S+ --config", line):
            return self._serve(line)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line.replace(":9090", f":{self.port}")],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _serve(self, line: str) -> str:
        ready = self.folder / f"ready{self.port}.json"
        ports = ["listenerConfig.httpPort=0", "listenerConfig.httpsPort=0", "adminConfig.port=0"]
        words = [word for port in ports for word in ("--set", port)]
        command = [*shlex.split(line), *words, "--ready-file", str(ready), "--workers", "1"]
        output = self.folder / "serving.txt"
        with output.open("wb") as file:
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=file, stderr=file)
        self.running.callback(_stop, process)
        wait_until(lambda: ready.exists() or process.poll() is not None, line, seconds=20)
        assert process.poll() is None, output.read_text()
        self.port = int(re.search(r'"http": ?(\d+)', ready.read_text())[1])
        return output.read_text()


def _stop(process):
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture
def reader(tmp_path):
    with ExitStack() as running:
        yield Reader(tmp_path, running)


def _lines(page):
    return [line for block in blocks("sh", page) for line in block.text.splitlines() if line.strip()]


def test_the_quick_start_works_as_written(reader):
    (reader.folder / "issuer.pem").write_bytes(public_pem())
    settings = f'[[jwtTokenConfig]]\nissuer = "{ISSUER}"\ncertificateFile = "issuer.pem"\n'
    (reader.folder / "micro-gw.conf").write_text(settings)
    with Backend(respond(b"[]")) as backend:
        description = reader.folder / "examples/petstore/petstore.yaml"
        text = description.read_text()
        address = re.search(r"http://127\.0\.0\.1:\d+|http://localhost:\d+", text)[0]
        description.write_text(text.replace(address, backend.url))
        printed = {line: reader.do(line) for line in _lines("docs/quick-start.md")}
        built = next(out for line, out in printed.items() if line.startswith("microgate build"))
        assert re.search(r"\b[0-9a-f]{64}\b", built)
        called = next(out for line, out in printed.items() if line.startswith("curl"))
        assert called == "[]"
        # The artefact is served last: it takes the issuer's tokens and no development key.
        url = f"http://127.0.0.1:{reader.port}/petstore/v1/pets"
        ask = "curl -s -o /dev/null -w '%{http_code}' -H "
        good = mint(scope="read:pets write:pets")
        assert reader.do(f'{ask} "Authorization: Bearer {good}" {url}') == "200"
        assert reader.do(f'{ask} "Authorization: Bearer $(microgate token --scope read:pets)" {url}') == "401"
