"""Users' Python is read for its mistakes and never run."""

from __future__ import annotations

import pytest

from microgate.diagnostics import Report
from microgate.toolkit.compiler import python_source
from microgate.toolkit.openapi.document import read_source


@pytest.fixture
def findings(tmp_path):
    def read(text):
        file = tmp_path / "own.py"
        file.write_text(text, encoding="utf-8", newline="")
        report = Report()
        source = read_source(file, "own.py", report)
        tree = python_source.parse(source, report)
        assert (tree is None) == report.has_errors
        return [(found.code, found.line, found.column) for found in report.diagnostics]

    return read


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("def f(:\n    pass\n", (1, 7)),
        ("x = 1\r\n\r\ny = = 2\r\n", (3, 5)),
        ("return 1\n", (1, 1)),
        ("def f():\n    pass\n  x = 1\n", (3, 8)),
        ("class A:\n    await x\n", (2, 5)),
        ("x = '\n", (1, 5)),
        ("(" * 5_000, (1, 200)),
        ("-" * 200_000 + "1", (1, 1)),
        ("from __future__ import braces\n", (1, 1)),
    ],
)
def test_what_python_could_not_load_is_said_at_its_place(findings, text, place):
    [(code, *found)] = findings(text)
    assert code == "MG162"
    if len(text) < 1_000:
        assert tuple(found) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# -*- coding: latin-1 -*-\nx = 'ä'\n",
        "x = '\\d'\n",  # Python warns of it
        "assert (1, 'x')\n",
        "raise SystemExit('this would end the build')\n",
        "import sys\nsys.exit(1)\n",
        "async def f(request):\n    await request\n",
    ],
)
def test_what_python_loads_is_not_run_and_no_advice_of_its_own_is_shown(findings, text):
    assert findings(text) == []
