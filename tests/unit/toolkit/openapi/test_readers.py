"""Texts become trees: values with their places, and one flaw with its place for what is no YAML or JSON."""

from __future__ import annotations

import time

import pytest

from microgate.toolkit.openapi import json_reader, yaml_reader
from microgate.toolkit.openapi.flaw import MAX_VALUES, Flaw
from microgate.toolkit.openapi.tree import Mapping, Sequence, line_and_column


def plain(node):
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def refused(reader, text):
    with pytest.raises(Flaw) as caught:
        reader.read(text)
    return caught.value.code.id, line_and_column(caught.value.place)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-17", -17), ("+5", 5), ("007", 7), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("0b1", "0b1"),
        ("1.5", 1.5), ("-.5", -0.5), ("1e3", 1000.0), ("1.", 1.0), (".", "."), ("+", "+"), ("1e", "1e"),
        (".inf", float("inf")), ("-.INF", float("-inf")), ("nan", "nan"),
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("null", None), ("~", None), ("", None), ("nil", "nil"),
        ("12:30:45", "12:30:45"), ("2001-01-01", "2001-01-01"), ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
        ("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"), ("!!int 7", 7), ("! 1", "1"), ("=", "="), ("٣", "٣"),
    ],
)  # fmt: skip
def test_yaml_scalars_are_those_of_version_1_2(text, value):
    assert plain(yaml_reader.read(f"a: {text}\n")) == {"a": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        ("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}),
        ("a: &k key\n*k : 1\n", {"a": "key", "key": 1}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}),
        ("<<: [{a: 1}, {a: 2, b: 3}]\nc: 4\n", {"c": 4, "a": 1, "b": 3}),
        ("200: ok\ntrue: 1\n~: 2\n", {"200": "ok", "true": 1, "~": 2}),
        ("? a\n: b\n", {"a": "b"}),
        ("a:\n- b\n- - c\n", {"a": ["b", ["c"]]}),
        ("--- |\n  text\n  more\n", "text\nmore\n"),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ('{"a": [1, {"b": null}], "c": "\\u00e9"}', {"a": [1, {"b": None}], "c": "é"}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: {}\nb: []\n", {"a": {}, "b": []}),
    ],
)
def test_yaml_forms(text, value):
    assert plain(yaml_reader.read(text)) == value


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: b: c\n", "MG003", (1, 5)),
        ("a: [1, 2\n", "MG003", (2, 1)),
        ("a: 'x\n", "MG003", (2, 1)),
        ("a:\n\tb: 1\n", "MG003", (2, 1)),
        ("%YAML 3.0\n---\na: 1\n", "MG003", (1, 1)),
        ("a: 1\nb: 2\na: 3\n", "MG005", (3, 1)),
        ("a: &x b\nb: 1\n*x : 2\n", "MG005", (3, 1)),
        ("a: &x\n  b: *x\n", "MG007", (2, 6)),
        ("a: *x\n", "MG007", (1, 4)),
        ("<<: text\n", "MG007", (1, 1)),
        ("? {a: b}\n: c\n", "MG008", (1, 3)),
        ("a: &x [1]\n*x : 2\n", "MG008", (2, 1)),
        ("a: !mine 1\n", "MG009", (1, 4)),
        ("a: !!python/object:os.system {}\n", "MG009", (1, 4)),
        ("!mine a: 1\n", "MG009", (1, 1)),
        ("a: !!timestamp 2001-01-01\n", "MG009", (1, 4)),
        (f"a: {'1' * 1001}\n", "MG010", (1, 4)),
        (f"a: 0x{'1' * 1001}\n", "MG010", (1, 4)),
        ("a: 1\n---\nb: 1\n", "MG011", (2, 1)),
        ("", "MG013", (1, 1)),
        ("# nothing\n", "MG013", (1, 1)),
        ("a: \x07\n", "MG002", (1, 4)),
    ],
)
def test_yaml_flaws_have_a_place(text, code, place):
    assert refused(yaml_reader, text) == (code, place)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "MG013", (1, 1)),
        (" \n", "MG013", (1, 1)),
        ("{", "MG004", (1, 2)),
        ('{"a"', "MG004", (1, 2)),
        ('{"a": }', "MG004", (1, 2)),
        ('{"a": 1 "b": 2}', "MG004", (1, 9)),
        ('{"a": 1,}', "MG004", (1, 8)),
        ('{,"a": 1}', "MG004", (1, 3)),
        ("[1,]", "MG004", (1, 3)),
        ("[1 2]", "MG004", (1, 4)),
        ("[1}", "MG004", (1, 3)),
        ("[01]", "MG004", (1, 2)),
        ("[1.]", "MG004", (1, 2)),
        ("[NaN]", "MG004", (1, 2)),
        ("{'a': 1}", "MG004", (1, 2)),
        ("{a: 1}", "MG004", (1, 2)),
        ("// c\n{}", "MG004", (1, 1)),
        ("{}\n{}", "MG004", (2, 1)),
        ('["a\nb"]', "MG004", (1, 4)),
        ('["\\x"]', "MG004", (1, 3)),
        ('["\\ud800"]', "MG004", (1, 3)),
        ('{"a": 1,\n "a": 2}', "MG005", (2, 2)),
        ('{"a": 1,\n "\\u0061": 2}', "MG005", (2, 2)),
        (f"[{'9' * 1001}]", "MG010", (1, 2)),
    ],
)
def test_json_flaws_have_a_place(text, code, place):
    assert refused(json_reader, text) == (code, place)


def test_every_value_and_key_knows_its_place():
    for reader, text in (
        (yaml_reader, "a:\n  bé: [1, 'x']\n  c: {d: e}\n"),
        (json_reader, '{"a":\n  {"bé": [1, "x"],\n\t"c": {"d": "e"}}}'),
    ):
        root = reader.read(text)
        lines = text.split("\n")

        def at(place, lines=lines):
            line, column = line_and_column(place)
            return lines[line - 1][column - 1 :]

        inner = root.entries["a"]
        assert at(root.key_place("a")).lstrip('"').startswith("a")
        assert at(inner.key_place("bé")).lstrip('"').startswith("bé")
        assert at(inner.entries["bé"].place).startswith("[1")
        assert at(inner.entries["bé"].items[1].place).strip("'\"").startswith("x")
        assert at(inner.entries["c"].entries["d"].place).strip('"').startswith("e")


@pytest.mark.parametrize(
    ("reader", "text", "code"),
    [
        (yaml_reader, "a: " + "[" * 100_000, "MG006"),
        (yaml_reader, "a:\n" + "".join(" " * n + "- \n" for n in range(1, 400)), "MG006"),
        (json_reader, "[" * 100_000, "MG006"),
        (json_reader, '{"a":' * 100_000, "MG006"),
        (yaml_reader, "a: " + "9" * 10_000_000, "MG010"),
        (json_reader, "[" + "9" * 10_000_000 + "]", "MG010"),
        (json_reader, '["' + "a" * 10_000_000, "MG004"),
        (json_reader, '{"' + "a" * 10_000_000, "MG004"),
    ],
)
def test_hostile_texts_are_refused_at_once(reader, text, code):
    """R21's bodies, as descriptions: depth 100,000 and numbers of 10 MB."""
    started = time.process_time()
    assert refused(reader, text)[0] == code
    assert time.process_time() - started < 2


def test_aliases_cannot_nest_deeper_than_written_values():
    lines = ["a0: &a0 " + "[" * 150 + "]" * 150, "a1: " + "[" * 60 + "*a0" + "]" * 60]
    assert refused(yaml_reader, "\n".join(lines)) == ("MG006", (2, 65))


@pytest.mark.long
def test_a_json_document_has_a_bounded_number_of_values():
    assert refused(json_reader, "[" + "1," * MAX_VALUES + "1]")[0] == "MG012"


@pytest.mark.long
def test_a_yaml_document_has_a_bounded_number_of_values():
    assert refused(yaml_reader, "- 1\n" * (MAX_VALUES + 1))[0] == "MG012"


def test_a_chain_of_references_to_the_same_anchor_is_cheap():
    text = "a: &a {b: 1}\n" + "".join(f"k{n}: *a\n" for n in range(20_000))
    started = time.process_time()
    assert len(yaml_reader.read(text).entries) == 20_001
    assert time.process_time() - started < 2
