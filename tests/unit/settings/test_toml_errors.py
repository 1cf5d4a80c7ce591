"""Every mistake that the parser knows is said in our words, at a place in the text."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.settings.toml_errors import explain

ROWS = [
    ("a = 1\na = 2", "a key that is set already", 2),
    ("a = {b = 1, b = 2}", "a key that is set already between these braces", 1),
    ("a = {b = 1}\na.c = 2", "more for a table that was complete already", 2),
    ("a = [1]\n[[a]]", "more for a table that was complete already", 2),
    ("a.b = 1\n[a]\nc = 1", "the table `a` is there already", 2),
    ("[[a]]\n[a]", "a", 2),
    ('a = "\\ud800"', "an escape in a string that is none", 1),
    ('a = "\\u00zz"', "an escape in a string that is none", 1),
    ('a = "C:\\dir"', "an escape in a string that is none", 1),
    ("a", "a key without `=` and a value", 1),
    ("[[a]\n", "the header of an array of tables without its closing `]]`", 1),
    ("a = localhost:8080", "no value where one belongs", 1),
    ("a = 1 2", "more on the line than one value", 1),
    ("a = True", "no value where one belongs", 1),
    ("a = 2020-02-30", "a date or time that there is not", 1),
    ("= 1", "neither `key = value` nor the header of a table", 1),
    ("a. = 1", "a key that is empty or begins", 1),
    ("a = [1 2]", "an array without its closing `]`, or without a comma", 1),
    ("a = {b = 1", "an inline table without its closing `}`", 1),
    ("a = 'x\nb = 1", "a string without its closing quote", 1),
    ('a = "x\x01"', "a control character", 1),
    ("a = 1\x00", "more on the line than one value", 1),
    ("# x\x01", "a control character", 1),
    ("\n\nb = '''x\n\n", "a string without its closing quote", 3),
]


@pytest.mark.parametrize(("text", "message", "line"), ROWS)
def test_a_mistake_is_said_in_our_words(text, message, line):
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads(text)
    flaw = explain(raised.value, text)
    assert message in flaw.message
    assert flaw.line == line


@given(st.text("ab=.\n[]{},\"'#\\ 1-:u\t\x01", max_size=30))
def test_no_mistake_is_said_in_the_words_of_the_parser(text):
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        flaw = explain(error, text)
        assert "what is no TOML" not in flaw.message
        assert 1 <= flaw.line <= text.count("\n") + 1
        assert flaw.column >= 1
