"""What tests of behaviour share: a broker, whose start takes longer than most of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.services.broker import Broker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real one. Tests that end it start it again."""
    with Broker(tmp_path_factory.mktemp("broker")) as running:
        yield running
