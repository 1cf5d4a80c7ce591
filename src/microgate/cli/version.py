"""`microgate version`: the version of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate import __version__
from microgate.cli.declaration import Command

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console


def _run(arguments: argparse.Namespace, console: Console) -> int:
    console.data(f"microgate {__version__}")
    return 0


COMMAND = Command(name="version", summary="print the version", run=_run)
