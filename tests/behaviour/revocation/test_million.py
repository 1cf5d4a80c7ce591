"""How much memory revocations take over all processes: a million in 150 MB, and a part of that in the suite."""

from __future__ import annotations

import pytest

from harness.descriptions import BACKEND, describe
from harness.process import GatewayProcess
from harness.revoking import measure_memory


@pytest.mark.parametrize(
    ("count", "limit_mb"),
    [(30_000, 15), pytest.param(1_000_000, 150, marks=[pytest.mark.long, pytest.mark.timeout(300)])],
)
def test_revocations_take_bounded_memory(tmp_path, backend, count, limit_mb):
    description = describe(["/a"], secured=True).replace(BACKEND, backend.url)
    before, after, seconds = measure_memory(GatewayProcess, tmp_path, description, count)
    print(f"{count} revocations: {(after - before) / 1024:.1f} MB, all in force after {seconds:.1f} s")
    assert (after - before) / 1024 < limit_mb
