"""`store: strict`: several gateways admit together exactly what the policy allows."""

from __future__ import annotations

import pytest

from harness.services.redis import Redis
from harness.shared_limits import start, statuses


@pytest.fixture
def store(tmp_path):
    with Redis(tmp_path / "redis", password="open sesame") as server:
        yield server


@pytest.fixture
def url(store):
    return f"redis://:open%20sesame@127.0.0.1:{store.port}/0"


def test_two_gateways_share_a_quota_exactly(store, url, gateway):
    first, second = (start(gateway, "{count: 7, unitTime: 1, timeUnit: day, store: strict}", [url]) for _ in range(2))
    found = statuses(first, 4) + statuses(second, 6)
    assert found == [200] * 7 + [429] * 3
    with first.connect() as client:
        assert client.get("/shop/a").status == 401
