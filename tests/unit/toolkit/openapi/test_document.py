"""The door for a user's files: encodings, sizes, and what cannot be read."""

from __future__ import annotations

import pytest

from microgate.diagnostics import Report
from microgate.toolkit import catalogue
from microgate.toolkit.openapi import document
from microgate.toolkit.openapi.tree import place


def read(tmp_path, data, name="api.yaml"):
    file = tmp_path / name
    file.write_bytes(data)
    report = Report()
    return document.read(file, name, report), report.diagnostics


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_are_read(tmp_path, encoding):
    found, diagnostics = read(tmp_path, "title: Café\n".encode(encoding))
    assert diagnostics == []
    assert found.root.entries["title"].value == "Café"


@pytest.mark.parametrize(
    ("data", "line", "column"), [(b"a: 1\nb: \xff", 2, 4), (b"a: 1\nbb: \0", 2, 5), (b"\xff\xfea", 1, 3)]
)
def test_other_bytes_are_refused_with_their_place(tmp_path, data, line, column):
    found, diagnostics = read(tmp_path, data)
    assert found is None
    assert [(finding.code, finding.line, finding.column) for finding in diagnostics] == [("MG002", line, column)]


def test_a_file_that_is_not_there(tmp_path):
    report = Report()
    assert document.read(tmp_path / "none.yaml", "none.yaml", report) is None
    assert [(finding.code, finding.message) for finding in report.diagnostics] == [
        ("MG001", "cannot be read: No such file or directory")
    ]


def test_a_file_that_is_too_large(tmp_path):
    file = tmp_path / "large.yaml"
    with file.open("wb") as large:
        large.truncate(document.MAX_FILE_BYTES + 1)
    report = Report()
    assert document.read(file, "large.yaml", report) is None
    assert [finding.code for finding in report.diagnostics] == ["MG012"]


@pytest.mark.parametrize("line", ["passwd: hunter2", "{a: 1, Password: hunter2}", "url: https://svc:hunter2@a.example"])
def test_a_line_with_a_secret_is_not_shown(tmp_path, line):
    found, _ = read(tmp_path, line.encode())
    assert found.diagnostic(catalogue.TAG, "a tag", place(0, 0)).source == ""


def test_other_lines_are_shown(tmp_path):
    found, _ = read(tmp_path, b"a: me@a.example\nurl: https://a.example/@me\n")
    assert [found.diagnostic(catalogue.TAG, "a tag", place(n, 0)).source for n in (0, 1)] == [
        "a: me@a.example",
        "url: https://a.example/@me",
    ]


def test_a_very_long_line_is_not_shown(tmp_path):
    found, _ = read(tmp_path, b"a: " + b"x" * 300)
    assert found.diagnostic(catalogue.TAG, "a tag", place(0, 0)).source == ""


def test_a_message_stays_on_its_line(tmp_path):
    found, _ = read(tmp_path, b"a: 1\n")
    assert found.diagnostic(catalogue.TAG, "a\nb\x1b[31m", place(0, 0)).message == "a?b?[31m"


@pytest.mark.parametrize(
    ("text", "raw"), [("version: 1.10", "1.10"), ("version: 1.10 # x", "1.10"), ('{"version":1.0,"a":1}', "1.0")]
)
def test_numbers_are_known_as_they_were_written(tmp_path, text, raw):
    found, _ = read(tmp_path, text.encode())
    assert found.raw(found.root.entries["version"].place) == raw
