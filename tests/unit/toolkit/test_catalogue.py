"""The catalogue of diagnostics and its pages say the same."""

from __future__ import annotations

import re

import pytest

from harness.sources import ROOT
from microgate.toolkit.catalogue import CODES

PAGES = ROOT / "docs/diagnostics"


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.id)
def test_a_code_has_a_page_with_its_title_an_example_and_what_to_do(code):
    text = (PAGES / f"{code.id}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code.id}: {code.title}\n")
    assert re.fullmatch(r"# .+\n\n(?:.+\n)+?\n```\w+\n(?:.*\n)+?```\n\n(?:.+\n)+", text)


def test_a_page_of_the_compiler_has_a_code():
    pages = {path.stem for path in PAGES.glob("MG[01]*.md")}
    assert pages == set(CODES)
