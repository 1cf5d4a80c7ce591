"""From an OpenAPI file to answered calls, with nothing made up: the `microgate` command makes and builds a project, the built
file serves, a real backend answers. Prints every call as a curl line. `--once` ends after the calls; the exit code is 1 if
one went wrong.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from backend import PetStore

HERE = Path(__file__).parent
START_SECONDS = 30.0
STOP_SECONDS = 35.0

CONFIGURATION = """\
# Where this demo's backend listens; the name is that of the endpoint in petstore.yaml.
petstoreBackend_prod_endpoint_0 = "{backend}"

[listenerConfig]
host = "127.0.0.1"
httpPort = 0
httpsPort = 0

[adminConfig]
port = 0

# Whose tokens are accepted. Yours would name your identity provider and its jwksURL.
[[jwtTokenConfig]]
issuer = "microgate-development"
jwksFile = "{keys}"
"""


class Call(NamedTuple):
    """One request as a client makes it, and the status that it must be answered with."""

    about: str
    method: str
    path: str
    status: int
    with_token: bool


CALLS = (
    Call("without a token", "GET", "/petstore/v1/pets", 401, with_token=False),
    Call("with a token", "GET", "/petstore/v1/pets/1", 200, with_token=True),
    Call("an unknown path", "GET", "/petstore/v1/parrots", 404, with_token=True),
    Call("a wrong method", "PATCH", "/petstore/v1/pets", 405, with_token=True),
)


class DemoError(Exception):
    """What went wrong, for the reader."""


class Demo:
    """A folder of its own with the project, the keys and the log; nothing outside it is touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = _engine()
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "MICROGATE": self.engine}
        self.log = folder / "gateway.log"
        self.gateway: subprocess.Popen[bytes] | None = None

    def build(self) -> Path:
        """Make and build the project; the artefact."""
        self.microgate("init", "petstore", "-a", str(HERE / "petstore.yaml"))
        self.microgate("build", "petstore")
        return self.folder / "petstore" / "target" / "petstore"

    def microgate(self, *words: str) -> str:
        """Run the command as a user would; what it printed as data."""
        say(f"$ {shlex.join(['microgate', *words])}")
        done = subprocess.run(
            [self.engine, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"`microgate {words[0]}` failed with exit code {done.returncode}")
        return done.stdout.strip()

    def serve(self, artefact: Path, backend: str) -> int:
        """Start the gateway and wait until it serves; its port."""
        configuration = self.folder / "micro-gw.conf"
        keys = self.folder / "state" / "microgate" / "development-keys.json"
        configuration.write_text(CONFIGURATION.format(backend=backend, keys=keys), encoding="utf-8")
        ready = self.folder / "ready.json"
        words = [str(artefact), "--config", str(configuration), "--ready-file", str(ready)]
        say(f"$ {shlex.join(['./petstore/target/petstore', '--config', 'micro-gw.conf'])}")
        with self.log.open("wb") as log:
            self.gateway = subprocess.Popen(words, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self.gateway.poll() is not None or time.monotonic() > deadline:
                raise DemoError(f"the gateway did not start:\n{self.log.read_text(errors='replace')}")
            time.sleep(0.02)
        return int(json.loads(ready.read_text(encoding="utf-8"))["http"])

    def stop(self) -> None:
        if self.gateway is None or self.gateway.poll() is not None:
            return
        self.gateway.terminate()
        try:
            self.gateway.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.gateway.kill()
            self.gateway.wait()


def make_calls(port: int, token: str) -> list[str]:
    """Make every call and print it with its answer; what went wrong."""
    wrong = []
    for call in CALLS:
        say(f"\n# {call.about}: {call.status}")
        say(_curl(call, port, token))
        headers = {"Authorization": f"Bearer {token}"} if call.with_token else {}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(call.method, call.path, headers=headers)
            answer = connection.getresponse()
            say(f"HTTP/1.1 {answer.status} {answer.reason}")
            say(answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException) as error:
            wrong.append(f"{call.about}: {call.method} {call.path}: {error or type(error).__name__}")
            continue
        finally:
            connection.close()
        if answer.status != call.status:
            wrong.append(
                f"{call.about}: {call.method} {call.path} was answered with {answer.status} instead of {call.status}"
            )
    return wrong


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a demonstration prints


def _curl(call: Call, port: int, token: str) -> str:
    words = ["curl", "-i"]
    if call.method != "GET":
        words += ["-X", call.method]
    if call.with_token:
        words += ["-H", f"Authorization: Bearer {token}"]
    return shlex.join([*words, f"http://127.0.0.1:{port}{call.path}"])


def _engine() -> str:
    beside = Path(sys.executable).with_name("microgate")
    found = str(beside) if beside.exists() else shutil.which("microgate")
    if found is None:
        raise DemoError("the `microgate` command is not installed; `make demo` sets everything up")
    return found


def _show(folder: Path, *, once: bool) -> int:
    demo = Demo(folder)
    with PetStore() as store:
        threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            artefact = demo.build()
            token = demo.microgate("token", "--scope", "read:pets write:pets", "--lifetime", "86400")
            port = demo.serve(artefact, f"http://127.0.0.1:{store.port}")
            wrong = make_calls(port, token)
            for line in wrong:
                sys.stderr.write(f"demo: {line}\n")
            if not wrong and not once:
                say(f"\nThe gateway serves on http://127.0.0.1:{port} until you stop it with Ctrl-C.")
                say(f"Its log, one line for each call: {demo.log}")
                assert demo.gateway is not None
                demo.gateway.wait()
            return 1 if wrong else 0
        finally:
            demo.stop()
            store.shutdown()


def main() -> int:
    """Run the demonstration; the exit code."""
    words = sys.argv[1:]
    if set(words) - {"--once"}:
        sys.stderr.write("usage: demo.py [--once]\n")
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="microgate-demo-") as folder:
            return _show(Path(folder), once="--once" in words)
    except DemoError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        say("\nstopped")
        return 0


if __name__ == "__main__":
    sys.exit(main())
