"""Writes the pages that are made from the code: `make docs` runs it, and a test holds that nothing changes then."""

from __future__ import annotations

from pathlib import Path

from microgate.cli.reference import render as render_cli
from microgate.settings.reference import render as render_settings
from microgate.toolkit.project.policies.reference import render as render_policies
from microgate.toolkit.project.policies.schema import render as render_policies_schema

PAGES = {
    "cli.md": render_cli,
    "settings.md": render_settings,
    "throttling/policies.md": render_policies,
    "throttling/policies.schema.json": render_policies_schema,
}


def main() -> None:
    """Write every page beside this file."""
    for name, render in PAGES.items():
        (Path(__file__).parent / name).write_text(render().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
