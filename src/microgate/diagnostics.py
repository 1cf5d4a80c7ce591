"""Diagnostics: what is wrong with a user's input, where, and what to do about it.

The compiler and the settings make them; the command line prints them as text, JSON or SARIF. A diagnostic is about the
user's files; errors of ours are exceptions (errors.py).
"""

from __future__ import annotations

import enum

import msgspec


class Severity(enum.Enum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Diagnostic(msgspec.Struct, frozen=True):
    """One finding. `file` is as the user would type it; `line` and `column` count from 1, 0 where there is no place."""

    code: str
    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""
    source: str = ""  # the text of the line, for the caret
    pointer: str = ""  # JSON pointer into the document, where there is one


class Report:
    """Collects diagnostics, so that one run shows all of them."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def add(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)

    @property
    def has_errors(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self.diagnostics)
