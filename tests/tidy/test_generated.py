"""Pages that are made from the code are those that the code makes now."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from harness.sources import ROOT


@pytest.mark.parametrize("page", ["cli.md", "settings.md", "throttling/policies.md", "throttling/policies.schema.json"])
def test_generated_pages_are_up_to_date(page, tmp_path):
    """`make docs` writes them; a copy of docs/ is written here and compared, so that the test changes nothing."""
    copied = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", copied)
    (copied / page).unlink()
    subprocess.run([sys.executable, str(copied / "generate.py")], check=True, cwd=tmp_path, timeout=60)
    assert (copied / page).read_text(encoding="utf-8") == (ROOT / "docs" / page).read_text(encoding="utf-8")
