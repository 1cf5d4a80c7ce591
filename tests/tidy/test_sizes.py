"""Ceilings on files, functions and parameters. There is no list of exceptions: what passes a ceiling is split."""

from __future__ import annotations

import statistics

from harness.sources import functions, name_of, python_files

SOURCE_LINES = 500
TEST_LINES = 700
FUNCTION_LINES = 60
PARAMETERS = 6
MEDIAN_LINES = 170


def _lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


def test_source_files_have_at_most_500_lines():
    long = {
        name_of(p): n for p in python_files("src", "benchmarks", "docs", "examples") if (n := _lines(p)) > SOURCE_LINES
    }
    assert not long


def test_test_files_have_at_most_700_lines():
    long = {name_of(path): n for path in python_files("tests") if (n := _lines(path)) > TEST_LINES}
    assert not long


def test_the_median_source_file_is_small():
    sizes = [n for path in python_files("src") if (n := _lines(path)) > 1]
    assert statistics.median(sizes) <= MEDIAN_LINES


def test_functions_have_at_most_60_lines():
    long = {
        f"{name_of(path)}:{function.lineno} {function.name}": length
        for path in python_files("src", "tests", "benchmarks", "docs", "examples")
        for function in functions(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert not long


def test_functions_take_at_most_six_parameters():
    """Positional ones: a constructor whose one caller fills it with keywords says so with a bare `*`."""
    many = {}
    for path in python_files("src"):
        for function in functions(path):
            arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
            count = len([name for name in arguments if name not in {"self", "cls"}])
            if count > PARAMETERS:
                many[f"{name_of(path)}:{function.lineno} {function.name}"] = count
    assert not many
