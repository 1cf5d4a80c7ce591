"""The place of every key, against texts that make it hard."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microgate.settings.positions import NOWHERE, locate, nearest

ROWS = [
    ("a = 1", ("a",), 1, 1),
    ("\n  a = 1", ("a",), 2, 3),
    ("# [x]\na = 1", ("a",), 2, 1),
    ("a = '# no [comment'\nb = 1", ("b",), 2, 1),
    ('a = "\\" [x"\nb = 1', ("b",), 2, 1),
    ("a = 'c:\\'\nb = 1", ("b",), 2, 1),
    ('a = """\n[x]\nb = 2\n"""\nb = 1', ("b",), 5, 1),
    ("a = '''\nb = 2''''\nb = 1", ("b",), 3, 1),
    ('a = """x"" """\nb = 1', ("b",), 2, 1),
    ("a = [\n  'x', # ]\n  'y',\n]\nb = 1", ("b",), 5, 1),
    ("a = {b = 1, c = [1]}\nd = 1", ("d",), 2, 1),
    ("[x.y]\nz = 1", ("x", "y", "z"), 2, 1),
    ("[ x . 'y.z' ]\nz = 1", ("x", "y.z", "z"), 2, 1),
    ('x."y".z = 1', ("x", "y", "z"), 1, 1),
    ("[[x]]\na = 1\n[[x]]\na = 2", ("x", 1, "a"), 4, 1),
    ("[[x]]\n[[x]]\n", ("x", 1), 2, 1),
    ("[[x]]\n[x.y]\nb = 1\n[[x]]\n[[x.z]]\na = 2", ("x", 1, "z", 0, "a"), 6, 1),
    ("a = 2020-01-01 # x\nb = 1", ("b",), 2, 1),
    ("a = { b = 1, c.d = 2 }", ("a", "b"), 1, 7),
    ("a = { b = 1, c.d = 2 }", ("a", "c", "d"), 1, 14),
    ("a = [\n  { b = 1 },\n  { b = 1, c = { d = '}' } },\n]\ne = 1", ("a", 1), 3, 3),
    ("a = [\n  { b = 1 },\n  { b = 1, c = { d = '}' } },\n]\ne = 1", ("a", 1, "c", "d"), 3, 18),
    ("a = [\n  { b = 1 },\n  { b = 1, c = { d = '}' } },\n]\ne = 1", ("e",), 5, 1),
    ("[[x]]\ny = [[1], [{z = [{}]}]]\nb = 1", ("x", 0, "y", 1, 0, "z", 0), 2, 18),
    ("[[x]]\na.b = 1\n[[x]]\na.b = 1", ("x", 1, "a", "b"), 4, 1),
]


@pytest.mark.parametrize(("text", "path", "line", "column"), ROWS)
def test_a_key_is_found(text, path, line, column):
    tomllib.loads(text)
    assert locate(text)[path] == (line, column)


def test_a_path_that_is_not_there_is_where_the_table_is():
    places = locate("\na = {b = 1}")
    assert nearest(places, ("a", "c")) == (2, 1)
    assert nearest(places, ("c",)) == NOWHERE


@given(st.text("ab=.\n[]{},\"'#\\ ", max_size=40))
def test_any_text_is_passed(text):
    for place in locate(text).values():
        assert 1 <= place.line <= text.count("\n") + 1


_KEYS = st.text("abc.[]\"'# =\\", min_size=1, max_size=5)
_VALUES = st.one_of(st.integers(), st.booleans(), st.text("ab#[]\"'\\\n{}=", max_size=8))


def _write(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{text}"""' if "\n" in text else f'"{text}"'


@given(st.lists(st.tuples(_KEYS, _VALUES), unique_by=lambda pair: pair[0], max_size=8))
def test_every_key_of_a_text_has_its_own_line(pairs):
    lines, expected = "", {}
    for key, value in pairs:
        expected[key.replace("\\", "\\\\").replace('"', '\\"')] = lines.count("\n") + 1
        lines += f"{_write(key)} = {_write(value)}\n"
    assert len(tomllib.loads(lines)) == len(pairs)
    assert {path[0]: place.line for path, place in locate(lines).items()} == expected
