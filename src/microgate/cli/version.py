"""`microgate version`: the version of the engine, and of an artefact where one is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microgate import __version__
from microgate.cli.console import printable
from microgate.cli.declaration import Argument, Command

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console


def _run(arguments: argparse.Namespace, console: Console) -> int:
    console.data(f"microgate {__version__}")
    if arguments.artefact:
        from microgate.plan.artefact import open_artefact

        artefact = open_artefact(Path(arguments.artefact))
        project, engine = printable(artefact.plan.project), printable(artefact.plan.engine)
        console.data(f"artefact {project} sha256:{artefact.digest}, built by microgate {engine}")
    return 0


COMMAND = Command(
    name="version",
    summary="print the version, and an artefact's digest if one is named",
    run=_run,
    arguments=(Argument("ARTEFACT", "the artefact", default=""),),
)
