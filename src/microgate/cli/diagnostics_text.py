"""Diagnostics as text for people: the place, the message, the source line with a caret, the hint. The layout is the one of
compilers, so editors and CI systems find the places in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.cli.console import printable
from microgate.diagnostics import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microgate.diagnostics import Diagnostic

SOURCE_WIDTH = 100  # characters of a source line that are shown; a whole JSON document may be one line


def render(diagnostics: Iterable[Diagnostic], paint: Callable[[str, str], str] | None = None) -> str:
    """All findings in their order. `paint` colours a word by its kind."""
    return "\n".join(_one(d, paint or _plain) for d in diagnostics)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; notes are not counted."""
    found = list(diagnostics)
    counts = [
        _counted(sum(d.severity is severity for d in found), severity.value)
        for severity in (Severity.ERROR, Severity.WARNING)
    ]
    return ", ".join(count for count in counts if count) or "no errors"


def place(diagnostic: Diagnostic) -> str:
    """`file:line:column`, as far as it is known."""
    if not diagnostic.file:
        return ""
    place = printable(diagnostic.file)
    if diagnostic.line:
        place += f":{diagnostic.line}"
        if diagnostic.column:
            place += f":{diagnostic.column}"
    return place


def _plain(word: str, kind: str) -> str:
    return word


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}" if count else ""


def _one(diagnostic: Diagnostic, paint: Callable[[str, str], str]) -> str:
    kind = diagnostic.severity.value
    where = place(diagnostic)
    lines = [
        f"{paint(f'{kind}[{diagnostic.code}]', kind)}: {where}{': ' if where else ''}{printable(diagnostic.message)}"
    ]
    if diagnostic.source.strip() and diagnostic.line:
        lines += _excerpt(diagnostic)
    if diagnostic.hint:
        lines.append(f"{paint('hint', 'hint')}: {printable(diagnostic.hint)}")
    return "\n".join(lines)


def _excerpt(diagnostic: Diagnostic) -> list[str]:
    # One character for one, so that the caret stays below its column.
    source = "".join(c if c.isprintable() else " " for c in diagnostic.source.rstrip())
    column = max(diagnostic.column, 1)
    start = 0
    if len(source) > SOURCE_WIDTH:
        start = max(0, min(column - 1 - SOURCE_WIDTH // 3, len(source) - SOURCE_WIDTH))
        source = ("..." if start else "") + source[start : start + SOURCE_WIDTH] + "..."
        start -= 3 if start else 0
    number = f"{diagnostic.line:5}"
    excerpt = [f"{number} | {source}"]
    if diagnostic.column:
        excerpt.append(f"{'':{len(number)}} | {'':{column - 1 - start}}^")
    return excerpt
