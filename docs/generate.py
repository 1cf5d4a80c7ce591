"""Writes the pages that are made from the code: `make docs` runs it, and a test holds that nothing changes then."""

from __future__ import annotations

from pathlib import Path

from microgate.cli.reference import render as render_cli
from microgate.settings.reference import render as render_settings

PAGES = {"cli.md": render_cli, "settings.md": render_settings}


def main() -> None:
    """Write every page beside this file."""
    for name, render in PAGES.items():
        Path(__file__).with_name(name).write_text(render().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
