"""Diagnostics for people: places, carets, and what a hostile file cannot do to a terminal."""

from __future__ import annotations

import pytest

from microgate.cli.diagnostics_text import SOURCE_WIDTH, render, summary
from microgate.diagnostics import Diagnostic, Severity


def _finding(**fields):
    return Diagnostic(**{"code": "MG101", "severity": Severity.ERROR, "message": "unknown key `x`", **fields})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "error[MG101]: unknown key `x`"),
        ({"file": "a.yaml"}, "error[MG101]: a.yaml: unknown key `x`"),
        ({"file": "a.yaml", "line": 4}, "error[MG101]: a.yaml:4: unknown key `x`"),
        ({"file": "a.yaml", "line": 4, "column": 2}, "error[MG101]: a.yaml:4:2: unknown key `x`"),
        ({"severity": Severity.WARNING, "hint": "remove it"}, "warning[MG101]: unknown key `x`\nhint: remove it"),
        (
            {"file": "a.yaml", "line": 4, "column": 3, "source": "  x: 1\n"},
            "error[MG101]: a.yaml:4:3: unknown key `x`\n    4 |   x: 1\n      |   ^",
        ),
        (
            {"file": "a.yaml", "line": 123456, "column": 2, "source": "\tx"},
            "error[MG101]: a.yaml:123456:2: unknown key `x`\n123456 |  x\n       |  ^",
        ),
        ({"file": "a.yaml", "line": 4, "column": 9, "source": "   "}, "error[MG101]: a.yaml:4:9: unknown key `x`"),
    ],
)
def test_layout(fields, expected):
    assert render([_finding(**fields)]) == expected


@pytest.mark.parametrize("column", [1, 2, 50, 51, 100, 101, 999_900, 999_999, 1_000_000])
def test_the_caret_stays_below_its_character_in_a_line_of_any_length(column):
    source = "." * (column - 1) + "X" + "." * (1_000_000 - column)
    text = render([_finding(file="a.json", line=1, column=column, source=source)])
    _, shown, caret = text.splitlines()
    assert shown[caret.index("^")] == "X"
    assert len(shown) <= SOURCE_WIDTH + 16


def test_a_file_never_steers_the_terminal():
    evil = "a\x1b[2Jb\r\n\x07\u202e"
    text = render([_finding(message=evil, file=evil, line=1, column=1, source=evil, hint=evil)])
    assert all(line.isprintable() for line in text.splitlines())
    assert "\\x1b" in text


def test_colour_is_asked_for():
    text = render([_finding(hint="h")], paint=lambda word, kind: f"<{kind}>{word}")
    assert text == "<error>error[MG101]: unknown key `x`\n<hint>hint: h"


@pytest.mark.parametrize(
    ("severities", "expected"),
    [
        ([], "no errors"),
        ([Severity.NOTE], "no errors"),
        ([Severity.ERROR], "1 error"),
        ([Severity.WARNING, Severity.WARNING], "2 warnings"),
        ([Severity.WARNING, Severity.ERROR, Severity.ERROR], "2 errors, 1 warning"),
    ],
)
def test_summary(severities, expected):
    assert summary([_finding(severity=severity) for severity in severities]) == expected
