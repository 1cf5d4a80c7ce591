"""Tables for people: columns as wide as their content, two blanks between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.cli.console import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def render(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The head and the rows, aligned to the left."""
    shown = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    )
