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
]


@pytest.mark.parametrize(("text", "path", "line", "column"), ROWS)
def test_a_key_is_found(text, path, line, column):
    tomllib.loads(text)
    assert locate(text)[path] == (line, column)


def test_a_key_inside_an_inline_table_is_where_the_table_is():
    places = locate("\na = {b = 1}")
    assert nearest(places, ("a", "b")) == (2, 1)
    assert nearest(places, ("c",)) == NOWHERE


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
