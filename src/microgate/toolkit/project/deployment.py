"""Checks `deployment-config.toml` (WSO2 §13): that it can be read, and that nobody believes something to have been made from it
that was not. It makes nothing itself; the command line calls it beside the compiler.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from microgate.diagnostics import Diagnostic
from microgate.settings import positions
from microgate.settings.toml_errors import explain
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from microgate.diagnostics import Report
    from microgate.toolkit.catalogue import Code

SECTIONS = ("docker", "kubernetes", "filters")


def check(file: Path, name: str, report: Report) -> None:
    """Report what is wrong with the file, which is called `name` in diagnostics."""
    findings = _Findings(name, report)
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        findings.add(catalogue.FILE_UNREADABLE, f"cannot be read: {error.strerror or error}")
        return
    except UnicodeDecodeError:
        findings.add(catalogue.FILE_ENCODING, "is not UTF-8 text")
        return
    findings.lines = text.splitlines()
    try:
        document = tomllib.loads(text)
    except RecursionError:
        findings.add(catalogue.DEPLOYMENT_FILE, "is nested too deeply")
        return
    except tomllib.TOMLDecodeError as error:
        flaw = explain(error, text)
        findings.add(catalogue.DEPLOYMENT_FILE, f"is not TOML: {flaw.message}", flaw.line, flaw.column, flaw.hint)
        return
    findings.places = positions.locate(text)
    _check_sections(document, findings)


def _check_sections(document: dict[str, Any], findings: _Findings) -> None:
    for section in document:
        if section not in SECTIONS:
            hint = did_you_mean(section, SECTIONS, f"the sections are {', '.join(SECTIONS)}")
            findings.add_at(section, catalogue.DEPLOYMENT_FILE, f"unknown section `{section}`", hint)
    for section in ("docker", "kubernetes"):
        for part in _enabled(document.get(section)):
            path = f"{section}.{part}"
            message = f"`[{path}]` is enabled, but this release makes no deployment files"
            hint = "the artefact is complete without them; set `enable = false` to be rid of this warning"
            findings.add_at(path, catalogue.DEPLOYMENT_UNUSED, message, hint)
    if document.get("filters"):
        hint = "remove `[[filters]]`, or keep this project on its old gateway for now"
        findings.add_at("filters", catalogue.NOT_SUPPORTED_YET, "custom filters are not supported yet", hint)


def _enabled(section: Any) -> list[str]:
    parts = section.items() if isinstance(section, dict) else ()
    return [name for name, part in parts if isinstance(part, dict) and part.get("enable") is True]


class _Findings:
    """Puts findings into the report, each with the file's name and the text of its line."""

    def __init__(self, name: str, report: Report) -> None:
        self.lines: list[str] = []
        self.places: dict[positions.Path, positions.Place] = {}
        self._name = name
        self._report = report

    def add(self, code: Code, message: str, line: int = 0, column: int = 0, hint: str = "") -> None:
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        self._report.add(Diagnostic(code.id, code.severity, message, self._name, line, column, hint, source))

    def add_at(self, path: str, code: Code, message: str, hint: str) -> None:
        """A finding at the table or key of a path; where only what is in it is written, at the first of that."""
        keys = tuple(path.split("."))
        place = min((at for found, at in self.places.items() if found[: len(keys)] == keys), default=positions.NOWHERE)
        self.add(code, message, *place, hint)
