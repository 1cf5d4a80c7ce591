"""Case 53: 300 descriptions, 1,000 paths, 10 MB: linear time and a bound on memory. `benchmarks/compile.py` has the figures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.sources import ROOT


@pytest.mark.long
def test_case_53_sizes():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/compile.py")], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
