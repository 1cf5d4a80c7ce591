"""`microgate run`: serves an artefact, a project or a bare OpenAPI file in the foreground. The header of an artefact calls it,
so nothing that an artefact does not need is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microgate.cli.declaration import Argument, Command, Option, whole_number
from microgate.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console

MOST_WORKERS = 1024


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.cli import serving

    overrides = [_assignment(text) for text in arguments.set]
    if arguments.workers is not None:
        overrides.append(("runtimeConfig.workers", str(arguments.workers)))
    wish = serving.Wish(
        target=arguments.target,
        config=Path(arguments.config) if arguments.config else None,
        overrides=tuple(overrides),
        ready_file=Path(arguments.ready_file) if arguments.ready_file else None,
        print_config=arguments.print_config,
        dev=arguments.dev,
    )
    return serving.serve(wish, console)


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(
            f"`{text}` does not set anything", "write --set section.key=value, as in --set listenerConfig.httpPort=8080"
        )
    return key, value


COMMAND = Command(
    name="run",
    summary="serve an artefact, a project or an OpenAPI file in the foreground",
    run=_run,
    arguments=(Argument("TARGET", "the artefact, project folder or OpenAPI file", default="."),),
    options=(
        Option(("--config",), "configuration file (`micro-gw.conf`)", "FILE"),
        Option(("--set",), "one setting, over file and environment", "SECTION.KEY=VALUE", repeated=True),
        Option(
            ("--workers",),
            "worker processes; 0 is one for each usable CPU",
            "NUMBER",
            convert=whole_number(0, MOST_WORKERS),
        ),
        Option(("--ready-file",), "write the ports to this file, as JSON, when all workers serve", "FILE"),
        Option(("--print-config",), "print every setting and where it came from, and serve nothing"),
        Option(("--dev",), "trust the keys of `microgate token`, and serve a saved project anew; not for artefacts"),
    ),
    about="A project or OpenAPI file is compiled in memory first. SIGTERM lets requests finish; a second one ends at once.",
    examples=(
        "microgate run petstore --dev",
        "microgate run petstore.yaml --set listenerConfig.httpPort=8080",
        "./petstore/target/petstore --config micro-gw.conf",
    ),
)
