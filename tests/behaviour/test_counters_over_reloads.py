"""The metrics of a project that is served anew while it is developed: no counter falls, and gauges are those of both versions."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest

from harness.backend import held
from harness.client import Client
from harness.descriptions import BACKEND, describe
from harness.messages import Ended
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.backend import Backend
    from harness.process import GatewayProcess

SAMPLE = re.compile(r"^([a-z_]+(?:_total|_count|_sum|_bucket))(\{.*\})? (\S+)$", re.MULTILINE)
COUNT = "http_server_request_duration_seconds_count"
TWO_WORKERS = "[runtimeConfig]\nworkers = 2\n"


class Scraper:
    """Reads `/metrics` and readiness without a pause, and notes what fell."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.fallen: list[str] = []
        self.statuses: set[int] = set()
        self.pages = 0
        self.failure: BaseException | None = None

    def _run(self) -> None:
        before: dict[str, float] = {}
        try:
            while not self._stop.is_set():
                try:
                    page = self._gateway.metrics()
                except (Ended, TimeoutError):
                    continue  # asked the one that goes just as it went: any scraper asks again
                now = {name + labels: float(value) for name, labels, value in SAMPLE.findall(page)}
                self.fallen += [name for name, value in before.items() if now.get(name, -1.0) < value]
                before = now
                self.pages += 1
                with suppress(Ended, TimeoutError), Client(int(self._gateway.ready["admin"])) as client:
                    self.statuses.add(client.get("/readyz", ("Connection", "close")).status)
        except BaseException as error:  # noqa: BLE001 - the test shows it
            self.failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)


@pytest.fixture
def developed(tmp_path: Path, gateway: Callable[..., GatewayProcess]) -> Callable[..., GatewayProcess]:
    """Starts a gateway under `--dev`, with development keys of its own."""
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    return lambda *given, **more: gateway(*given, environment=home, arguments=["--dev"], **more)


def save(gateway: GatewayProcess, backend: Backend, paths: Any, *, served: str) -> None:
    """Save a description and wait until every worker of its generation serves."""
    before = gateway.output.count("the new version serves")
    gateway.folder.joinpath("api.json").write_text(describe(paths).replace(BACKEND, backend.url))
    wait_until(lambda: gateway.output.count("the new version serves") > before, f"{served} is served", seconds=10)


def send(gateway: GatewayProcess, count: int, path: str) -> None:
    for _ in range(count):
        with gateway.connect() as client:
            assert client.get(path).status == 200


def has_processes(gateway: GatewayProcess, count: int) -> bool:
    with suppress(FileNotFoundError):  # one ended while we looked
        return len(gateway.processes()) == count
    return False


def by_route(gateway: GatewayProcess) -> dict[str, float]:
    found = re.findall(rf'^{COUNT}\{{.*http_route="([^"]*)".*\}} (\S+)$', gateway.metrics(), re.MULTILINE)
    return {route: float(value) for route, value in found}


def gauge(gateway: GatewayProcess, name: str) -> int:
    return int(re.findall(rf"^{name} (\d+)$", gateway.metrics(), re.MULTILINE)[0])


def test_counters_grow_over_reloads_and_a_scraper_never_sees_one_fall(developed, backend):
    running = developed(describe(["/a", "/gone"]), settings=TWO_WORKERS)
    with Scraper(running) as scraper:
        send(running, 5, "/a")
        send(running, 2, "/gone")
        save(running, backend, ["/first", "/a"], served="/first")
        send(running, 5, "/a")
        send(running, 1, "/first")
        save(running, backend, ["/a", "/second"], served="/second")
        send(running, 5, "/a")
        wait_until(lambda: has_processes(running, 4), "the old processes have ended")
        assert by_route(running) == {"/a": 15, "/gone": 2, "/first": 1}
        assert gauge(running, "microgate_worker_starts_total") == 6
        assert gauge(running, "http_server_active_requests") == 0
    assert scraper.failure is None
    assert scraper.pages > 10
    assert scraper.fallen == []
    assert scraper.statuses == {200}


def test_requests_in_flight_are_those_of_both_versions(developed, backend):
    release = threading.Event()
    backend.scripts["/held"] = held(release)
    running = developed(describe(["/held", "/a"]))
    with running.connect() as old:
        old.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: gauge(running, "http_server_active_requests") == 1)
        save(running, backend, ["/held", "/b"], served="/b")
        assert gauge(running, "http_server_active_requests") == 1
        with running.connect() as new:
            new.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: gauge(running, "http_server_active_requests") == 2)
            release.set()
            assert old.answer().status == new.answer().status == 200
    wait_until(lambda: has_processes(running, 3), "the old processes have ended")
    wait_until(lambda: gauge(running, "http_server_active_requests") == 0)
    assert by_route(running) == {"/held": 2}


def test_what_an_old_version_is_cut_off_from_is_not_in_flight_for_ever(developed, backend):
    backend.scripts["/held"] = lambda talk: talk.wait_for_end()
    running = developed(describe(["/held"]), settings="[runtimeConfig]\ngracePeriodInMillis = 300\n")
    with running.connect() as client:
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: gauge(running, "http_server_active_requests") == 1)
        save(running, backend, ["/held", "/b"], served="/b")
        wait_until(lambda: has_processes(running, 3), "the old processes have ended")
        assert gauge(running, "http_server_active_requests") == 0
        assert gauge(running, "microgate_upstream_connections") == 0


def test_a_version_that_cannot_start_takes_no_count_along(developed, backend):
    running = developed(describe(["/a"]))
    with Scraper(running) as scraper:
        send(running, 3, "/a")
        running.folder.joinpath("micro-gw.conf").write_text('[[jwtTokenConfig]]\nissuer = "x"\njwksFile = "/nowhere"\n')
        wait_until(lambda: "the running one stays" in running.output, "it says so", seconds=10)
        send(running, 4, "/a")
        assert by_route(running) == {"/a": 7}
    assert (scraper.failure, scraper.fallen, scraper.statuses) == (None, [], {200})
