"""Commands that serve, as their users start them: an artefact by its own name, a project that is being developed, and a
gateway in the background.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.client import Client
from harness.sources import ROOT
from harness.waiting import wait_until

BIN = Path(sys.executable).parent
QUIET = (
    "listenerConfig.host=127.0.0.1",
    "listenerConfig.httpPort=0",
    "listenerConfig.httpsPort=-1",
    "adminConfig.port=0",
)


class Place:
    """A folder with a project, a state folder of its own, and what was started there."""

    def __init__(self, folder: Path, backend_url: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "petstoreBackend_prod_endpoint_0": backend_url,
        }
        self.started: list[subprocess.Popen[bytes]] = []
        self.description = folder / "petstore" / "api_definitions" / "petstore.yaml"
        self.command("microgate", "init", "petstore", "-a", str(ROOT / "examples" / "petstore" / "petstore.yaml"))

    def command(self, *words: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def start(self, *words: str, **environment: str) -> int:
        """Start something that serves; its port once it does."""
        ready = self.folder / f"ready{len(self.started)}"
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [*words, "--ready-file", str(ready)],
                cwd=self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.started.append(process)

        def serves() -> bool:
            assert process.poll() is None, self.output
            return ready.exists()

        wait_until(serves, "it serves", seconds=30)
        return int(json.loads(ready.read_text())["http"])

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0

    def kill(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture
def place(tmp_path, backend):
    folder = tmp_path / "a place"
    folder.mkdir()
    place = Place(folder, backend.url)
    yield place
    place.kill()


def sets(*assignments):
    return [word for assignment in (*QUIET, *assignments) for word in ("--set", assignment)]


def status(port, target, token=""):
    with Client(port) as client:
        headers = [("Authorization", f"Bearer {token}")] if token else []
        return client.get(target, *headers).status


def test_an_artefact_serves_by_its_own_name_and_imports_nothing_that_builds(place):
    place.command("microgate", "build", "petstore")
    artefact = place.folder / "moved here"
    (place.folder / "petstore" / "target" / "petstore").rename(artefact)
    artefact.chmod(0o555)
    port = place.start(str(artefact), *sets("runtimeConfig.workers=1"), PYTHONPROFILEIMPORTTIME="1")
    assert status(port, "/petstore/v1/pets") == 401
    assert status(port, "/nothing") == 404
    place.stop()
    imported = {
        line.rpartition("|")[2].strip() for line in place.output.splitlines() if line.startswith("import time:")
    }
    assert "microgate.runtime.assembly" in imported
    for room in (
        "microgate.toolkit",
        "microgate.cli.development_keys",
        "yaml",
        "shtab",
        "tomllib",
        "jsonschema",
        "dns",
    ):
        assert not [name for name in imported if name == room or name.startswith(f"{room}.")]


def test_a_bare_description_and_a_project_are_served_without_a_trace_on_disk(place, backend):
    token = place.command("microgate", "token").strip()
    before = sorted(place.folder.rglob("*"))
    for target in ("petstore", "petstore/api_definitions/petstore.yaml"):
        port = place.start("microgate", "run", target, *sets(), "--workers", "1")
        assert status(port, "/petstore/v1/pets", token) == 401
        place.stop()
    after = [path for path in sorted(place.folder.rglob("*")) if not path.name.startswith(("ready", "output"))]
    assert after == before
    assert not backend.requests


class TestDevelopment:
    @pytest.fixture
    def port(self, place):
        return place.start("microgate", "run", "petstore", "--dev", "--workers", "2", *sets())

    def test_it_says_so_loudly_and_trusts_the_keys_of_token(self, place, port, backend):
        assert "DEVELOPMENT MODE: tokens signed with your development keys are accepted" in place.output
        assert "MG511" not in place.output
        assert status(port, "/petstore/v1/pets") == 401
        for algorithm in ("RS256", "ES256"):
            token = place.command("microgate", "token", "--algorithm", algorithm).strip()
            assert status(port, "/petstore/v1/pets", token) == 200
            assert status(port, "/petstore/v1/pets/1", token) == 403
            token = place.command("microgate", "token", "--scope", "x,read:pets", "--algorithm", algorithm).strip()
            assert status(port, "/petstore/v1/pets/1", token) == 200
        assert len(backend.requests) == 4

    def test_a_plan_can_be_tried_with_claims_of_tokens(self, place, backend):
        project = place.description.parent.parent
        (project / "policies.yaml").write_text(
            "subscriptionPolicies:\n  - One: {count: 1, unitTime: 1, timeUnit: day}\n"
        )
        (project / "subscriptions.yaml").write_text(
            "required: false\napplications:\n  - name: Till\n    productionKeys: [till]\n"
            "    subscriptions: [{api: Petstore, tier: One}]\n"
        )
        port = place.start("microgate", "run", "petstore", "--dev", "--workers", "1", *sets())
        keyed, other = (
            place.command("microgate", "token", *claim).strip() for claim in (("--claim", "consumerKey=till"), ())
        )
        assert [status(port, "/petstore/v1/pets", keyed) for _ in range(2)] == [200, 429]
        assert [status(port, "/petstore/v1/pets", other) for _ in range(2)] == [200, 200]

    def test_a_saved_project_is_served_anew_and_nothing_is_refused(self, place, port):
        token = place.command("microgate", "token").strip()
        text = place.description.read_text()
        place.description.write_text(text.replace("/petstore/v1", "/petstore/v2"))
        statuses = []

        def swapped() -> bool:
            statuses.append(status(port, "/petstore/v2/pets", token))
            return statuses[-1] == 200

        wait_until(swapped, "the new base path is served", seconds=20)
        assert set(statuses) == {404, 200}
        wait_until(lambda: status(port, "/petstore/v1/pets", token) == 404, "the old one is not", seconds=10)

    def test_a_bare_description_is_served_anew_too(self, place):
        port = place.start("microgate", "run", str(place.description), "--dev", "--workers", "1", *sets())
        text = place.description.read_text()
        # As editors save: a new file takes the place of the old one.
        fresh = place.description.with_name("fresh")
        fresh.write_text(text.replace("/petstore/v1", "/petstore/v2"))
        fresh.replace(place.description)
        wait_until(lambda: status(port, "/petstore/v2/pets") == 401, "the new base path is served", seconds=20)

    def test_a_mistake_is_shown_and_what_was_served_stays(self, place, port):
        token = place.command("microgate", "token").strip()
        text = place.description.read_text()
        place.description.write_text(text.replace("x-wso2-basePath", "x-wso2-basepath"))
        wait_until(lambda: "the gateway keeps serving" in place.output, "it is said", seconds=20)
        assert "error[MG101]: petstore/api_definitions/petstore.yaml:8:1: unknown key `x-wso2-basepath`" in place.output
        assert status(port, "/petstore/v1/pets", token) == 200
        place.description.write_text(text.replace("/petstore/v1", "/v3"))
        wait_until(lambda: status(port, "/v3/pets", token) == 200, "the corrected project is served", seconds=20)
        place.stop()


class TestBackground:
    """`gateway x/target/x.jar start|stop|restart`, with the command lines of WSO2 §2.5."""

    @pytest.fixture
    def jar(self, place):
        place.command("micro-gw", "build", "petstore")
        yield "petstore/target/petstore.jar"
        place.command("gateway", "stop")

    @staticmethod
    def _keys(port):
        keys = [f"--{assignment}" for assignment in QUIET if "httpPort" not in assignment]
        return [*keys, f"--listenerConfig.httpPort={port}", "--runtimeConfig.workers=1"]

    @staticmethod
    def _pid(place):
        return int((place.folder / "state" / "microgate" / "gateway.pid").read_text())

    def test_start_stop_and_restart(self, place, jar, free_port):
        assert "Gateway is started" in place.command("gateway", jar, "start", *self._keys(free_port))
        assert status(free_port, "/petstore/v1/pets") == 401
        first = self._pid(place)
        assert place.command("gateway", jar, "start").strip() == "Process is already running"
        # A setting may come from the environment under its old name.
        keys = [key for key in self._keys(free_port) if "httpPort" not in key]
        place.command("gateway", jar, "--restart", *keys, listenerConfig_httpPort=str(free_port))
        assert self._pid(place) != first
        assert status(free_port, "/petstore/v1/pets") == 401
        assert "Gateway is stopped" in place.command("gateway", "--stop")
        assert "No gateway is running" in place.command("gateway", "stop")

    def test_home_and_configuration_folder_are_those_of_before(self, place, jar, free_port):
        home, conf = place.folder / "home", place.folder / "conf dir"
        conf.mkdir()
        (conf / "micro-gw.conf").write_text(
            f'[listenerConfig]\nhost = "127.0.0.1"\nhttpPort = {free_port}\nhttpsPort = -1\nnewKey = 1\n[adminConfig]\nport = 0\n'
        )
        environment = {"MGW_HOME": str(home), "MGW_CONF_DIR": str(conf)}
        try:
            place.command("gateway", jar, "start", **environment)
            assert status(free_port, "/health") == 200
            assert (home / "bin" / "gateway.pid").is_file()
            # A key that nobody knows is a warning under this name.
            assert "warning[MG502]" in (home / "logs" / "microgateway.log").read_text()
        finally:
            place.command("gateway", "stop", **environment)

    def test_a_start_that_fails_says_why(self, place, jar, free_port):
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", free_port))
            taken.listen()
            said = place.command("gateway", jar, "start", *self._keys(free_port), code=1)
        own, *more = [line for line in said.splitlines() if line.startswith("gateway: error: ")]
        assert str(free_port) in own
        assert more == ["gateway: error: the gateway did not start"]
        assert said.splitlines()[-1].startswith("hint: all it said is in ")
        assert "No gateway is running" in place.command("gateway", "stop")

    def test_a_start_with_wrong_settings_shows_what_is_wrong_with_them(self, place, jar):
        said = place.command("gateway", jar, "start", "--listenerConfig.httpPort=no", code=1)
        assert "error[MG503]: command line: `listenerConfig.httpPort` must be an integer" in said

    def test_a_wrong_path_is_an_error(self, place):
        assert "Path to executable jar file is invalid" in place.command("gateway", "nothing.jar", "start", code=1)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_one_line(place):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = place.command("microgate", "run", "petstore", *sets(f"listenerConfig.httpPort={port}"), code=1)
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert str(port) in errors[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["[listenerConfig]", 'certificateFile = "no.pem"', 'privateKeyFile = "no.key"'],
            "error: gw.conf:2: cannot read the certificate `no.pem`: no such file or directory",
        ),
        (
            ["[[jwtTokenConfig]]", 'issuer = "https://id.example"', 'certificateFile = "no.pem"'],
            "error: gw.conf:3: cannot read `no.pem`: no such file or directory",
        ),
        (
            ["[[jwtTokenConfig]]", 'issuer = "https://id.example"', 'jwksFile = "no.json"'],
            "error: gw.conf:3: cannot read `no.json`: no such file or directory",
        ),
        (
            ["[[jwtTokenConfig]]", 'issuer = "https://id.example"', 'certificateAlias = "wso2apim310"'],
            "error: gw.conf:3: issuer `https://id.example` needs the certificate `wso2apim310`: cannot read the trust store",
        ),
        (
            [
                "[[jwtTokenConfig]]",
                "issuer = 'https://a.example'",
                "jwksURL = 'https://a.example/'",
                "[mutualSSLConfig]",
                "crlFiles = ['no.pem']",
                "[encryptedTokenConfig]",
                "privateKeyFiles = ['no.pem']",
                "[[jwtTokenConfig]]",
                "issuer = 'https://b.example'",
                "certificateFile = 'no.pem'",
                "[[jwtTokenConfig]]",
                "certificateFile = 'no.pem'",
                "issuer = 'https://c.example'",
            ],
            "error: gw.conf:10: cannot read `no.pem`: no such file or directory",
        ),
        (
            [
                "[[jwtTokenConfig]]",
                "issuer = 'https://a.example'",
                "jwksURL = 'https://a.example/'",
                "claimMapper = 'no:more'",
            ],
            "error: gw.conf:4: `jwtTokenConfig.claimMapper`: the artefact has no extensions/no.py",
        ),
        (["[httpClients]", 'caFile = "no.pem"'], "error: gw.conf:2: `httpClients.caFile`: cannot use `no.pem`: "),
        (["[accessLogConfig]", 'format = "{no}"'], "error: gw.conf:2: `accessLogConfig.format`: unknown field `no`"),
    ],
)
def test_what_the_start_ends_on_is_said_with_its_place_and_nothing_else(place, lines, message):
    (place.folder / "gw.conf").write_text("\n".join(lines))
    words = [word for setting in (*QUIET[:2], QUIET[3]) for word in ("--set", setting)]
    tls = [] if "listener" in lines[0] else ["--set", QUIET[2]]
    place.command("microgate", "build", "petstore")
    said = place.command("./petstore/target/petstore", "--config", "gw.conf", *words, *tls, code=1)
    errors = [line for line in said.splitlines() if not line.startswith(("hint: ", "warning[MG511]"))]
    assert len(errors) == 1
    assert errors[0].startswith(message)
