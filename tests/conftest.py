"""Fixtures that any test may ask for: a recording backend, gateways, and one gateway shared by tests that start alike."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from harness.backend import Backend
from harness.credentials import ServerIdentity
from harness.descriptions import BACKEND
from harness.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def backend() -> Iterator[Backend]:
    with Backend() as server:
        yield server


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> ServerIdentity:
    """A certificate for localhost that clients and backends of the whole run may use."""
    return ServerIdentity(tmp_path_factory.mktemp("identity"))


@pytest.fixture
def gateway(tmp_path: Path, backend: Backend) -> Iterator[Callable[..., GatewayProcess]]:
    """Starts gateways before this test's backend: `gateway(describe(["/a"]), settings="...")`."""
    with ExitStack() as running:

        def start(*descriptions: str, **options: Any) -> GatewayProcess:
            folder = tmp_path / f"gateway{len(list(tmp_path.glob('gateway*')))}"
            folder.mkdir()
            texts = [text.replace(BACKEND, backend.url) for text in descriptions]
            return running.enter_context(GatewayProcess(folder, texts, **options))

        yield start


class Pair:
    """A gateway and its backend, kept for tests that ask for the same ones in a row."""

    def __init__(self, folder: Path, descriptions: tuple[str, ...], settings: str) -> None:
        self.key = (descriptions, settings)
        self._running = ExitStack()
        self.backend = self._running.enter_context(Backend())
        texts = [text.replace(BACKEND, self.backend.url) for text in descriptions]
        self.gateway = self._running.enter_context(GatewayProcess(folder, texts, settings=settings))

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="session")
def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[tuple[str, ...], str], Pair]]:
    """A running pair for these descriptions and settings: the last one where they are the same, else a new one."""
    last: list[Pair] = []

    def pair(descriptions: tuple[str, ...], settings: str) -> Pair:
        if last and last[0].key == (descriptions, settings):
            last[0].backend.forget()
            return last[0]
        if last:
            last.pop().close()
        last.append(Pair(tmp_path_factory.mktemp("gateway"), descriptions, settings))
        return last[0]

    yield pair
    if last:
        last[0].close()
