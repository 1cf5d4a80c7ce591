"""The Markdown pages of the project and the code blocks in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from harness.sources import name_of, tracked

if TYPE_CHECKING:
    from pathlib import Path


class Block(NamedTuple):
    """A fenced block: where it is, its language, its text."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


def blocks(language: str, page: str = "") -> list[Block]:
    """The blocks of a language, on one page or all; those of diagnostics' pages show mistakes and are left out."""
    found = []
    for path in pages():
        name = name_of(path)
        if (page and name != page) or name.startswith("docs/diagnostics/"):
            continue
        text = path.read_text(encoding="utf-8")
        found += [
            Block(name, text[: match.start()].count("\n") + 1, match[1], match[2])
            for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            if match[1] == language
        ]
    return found


def links() -> list[tuple[Path, str]]:
    """Every relative link of every page."""
    found = []
    for path in pages():
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [
            (path, target.partition("#")[0])
            for target in re.findall(r"\]\(([^)\s]+)\)", text)
            if "://" not in target and not target.startswith(("#", "mailto:"))
        ]
    return found
