"""A document that was read: its text, digest and tree, and diagnostics about places in it. Also what readers raise.

`read` is the door for every file of a project; no other module opens a user's file.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from microgate.diagnostics import Diagnostic
from microgate.toolkit import catalogue
from microgate.toolkit.openapi import json_reader, yaml_reader
from microgate.toolkit.openapi.flaw import Flaw
from microgate.toolkit.openapi.tree import line_and_column, place

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.diagnostics import Report
    from microgate.toolkit.catalogue import Code
    from microgate.toolkit.openapi.tree import Node

MAX_FILE_BYTES = 64 * 1024 * 1024
# A log is no place for what must not stand in the file either.
_SECRET = re.compile(r"passw|secret|://[^/?#\s]*@", re.IGNORECASE)

MAX_SOURCE_LINE = 240  # a longer line is no help under a message


class Document:
    """One file. `name` is relative to the project, with `/`."""

    __slots__ = ("_lines", "digest", "name", "path", "root", "text")

    def __init__(self, path: Path, name: str, data: bytes) -> None:
        self.path = path
        self.name = name
        self.digest = hashlib.sha256(data).hexdigest()
        self.text = ""
        self.root: Node | None = None
        self._lines: list[str] | None = None

    def diagnostic(self, code: Code, message: str, at: int, *, hint: str = "", pointer: str = "") -> Diagnostic:
        """A finding at a place (tree.place) of this document."""
        line, column = line_and_column(at)
        return Diagnostic(
            code=code.id,
            severity=code.severity,
            message=one_line(message),
            file=self.name,
            line=line,
            column=column,
            hint=one_line(hint),
            source=self._line(line),
            pointer=pointer,
        )

    def raw(self, at: int) -> str:
        """The number or word that begins at a place, as it was written."""
        line, column = line_and_column(at)
        return re.split(r"[\s,\]}#]", self._full_line(line)[column - 1 :], maxsplit=1)[0]

    def _line(self, number: int) -> str:
        line = self._full_line(number)
        return "" if len(line) > MAX_SOURCE_LINE or _SECRET.search(line) else line

    def _full_line(self, number: int) -> str:
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines[number - 1].rstrip("\r") if number <= len(self._lines) else ""


def read(path: Path, name: str, report: Report, *, may_be_empty: bool = False) -> Document | None:
    """The document at `path` with its tree, or None after a diagnostic. An empty one that may be has no tree."""
    document = read_source(path, name, report)
    if document is None:
        return None
    reader = json_reader if path.suffix.lower() == ".json" else yaml_reader
    try:
        document.root = reader.read(document.text)
    except Flaw as flaw:
        if may_be_empty and flaw.code is catalogue.FILE_EMPTY:
            return document
        report.add(document.diagnostic(flaw.code, flaw.message, flaw.place, hint=flaw.hint))
        return None
    return document


def read_source(path: Path, name: str, report: Report) -> Document | None:
    """The text at `path` without a tree, or None after a diagnostic."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        report.add(whole_file(catalogue.FILE_UNREADABLE, f"cannot be read: {error.strerror or error}", name))
        return None
    if len(data) > MAX_FILE_BYTES:
        message = f"is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB"
        report.add(whole_file(catalogue.FILE_TOO_LARGE, message, name))
        return None
    document = Document(path, name, data)
    try:
        document.text = decode(data)
    except Flaw as flaw:
        report.add(document.diagnostic(flaw.code, flaw.message, flaw.place, hint=flaw.hint))
        return None
    return document


def whole_file(code: Code, message: str, name: str, hint: str = "") -> Diagnostic:
    """A finding about a file as a whole."""
    return Diagnostic(code=code.id, severity=code.severity, message=message, file=name, hint=hint)


def one_line(text: str) -> str:
    """A message without characters that would break its line, or a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark, without NUL; raises Flaw."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        at = place(before.count(b"\n"), error.start - (before.rfind(b"\n") + 1))
        hint = "save the file as UTF-8"
        raise Flaw(
            catalogue.FILE_ENCODING, f"the file is not {encoding[:6].rstrip('-s').upper()} text", at, hint
        ) from error
    end = text.find("\0")
    if end >= 0:
        at = place(text.count("\n", 0, end), end - (text.rfind("\n", 0, end) + 1))
        raise Flaw(catalogue.FILE_ENCODING, "the file contains a NUL character", at, "is it a text file?")
    return text
