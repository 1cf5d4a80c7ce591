"""Diagnostics for machines: one JSON document, or SARIF 2.1.0 for code-scanning services and editors."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from microgate import __version__
from microgate.diagnostics import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microgate.diagnostics import Diagnostic

_SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """`{"diagnostics": [...], "errors": n, "warnings": n}`; a field without a value is left out of its finding."""
    document = {
        "diagnostics": [
            {name: value for name, value in msgspec.to_builtins(_encodable(d)).items() if value or name == "message"}
            for d in diagnostics
        ],
        "errors": sum(d.severity is Severity.ERROR for d in diagnostics),
        "warnings": sum(d.severity is Severity.WARNING for d in diagnostics),
    }
    return pretty(document)


def render_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """One SARIF run. Paths are URIs relative to where the command ran."""
    rules = sorted({d.code for d in diagnostics})
    run = {
        "tool": {
            "driver": {
                "name": "microgate",
                "semanticVersion": __version__,
                "rules": [{"id": code} for code in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(_encodable(d), rules.index(d.code)) for d in diagnostics],
    }
    return pretty({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def pretty(document: object) -> str:
    """Indented JSON, as every machine form of the command line is printed."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _encodable(diagnostic: Diagnostic) -> Diagnostic:
    """File names need not be UTF-8; what is not becomes an escape."""
    texts = {
        name: text.encode(errors="backslashreplace").decode()
        for name, text in msgspec.structs.asdict(diagnostic).items()
        if isinstance(text, str) and not text.isascii()
    }
    return msgspec.structs.replace(diagnostic, **texts) if texts else diagnostic


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    text = diagnostic.message + (f"\nhint: {diagnostic.hint}" if diagnostic.hint else "")
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity.value,
        "message": {"text": text},
    }
    if diagnostic.file:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(PurePosixPath(diagnostic.file).as_posix())}}
        if diagnostic.line:
            physical["region"] = {"startLine": diagnostic.line, "startColumn": max(diagnostic.column, 1)}
        location: dict[str, Any] = {"physicalLocation": physical}
        if diagnostic.pointer:
            location["logicalLocations"] = [{"fullyQualifiedName": diagnostic.pointer}]
        result["locations"] = [location]
    return result
