"""`microgate build`: compiles a project and writes its artefact. `micro-gw build` shares `build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from microgate.cli import targets
from microgate.cli.declaration import Argument, Command, Option
from microgate.errors import ProjectError
from microgate.plan.artefact import is_artefact

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console
    from microgate.plan.model import Plan


class Built(NamedTuple):
    """A written artefact."""

    file: Path
    digest: str  # hex SHA-256 of the file
    size_bytes: int
    plan: Plan


def build(project: str, deployment: str | None, output: str | None, console: Console) -> Built:
    """Compile the project and write its artefact. Raises Findings, ProjectError; an older artefact then stays."""
    from microgate.toolkit.artefact import pack
    from microgate.toolkit.project import layout

    target = targets.find_project(project)
    plan = targets.obtain(target, console, deployment)
    file = _free(Path(output)) if output else layout.artefact_file(target.path)
    with console.progress(f"writing {file}"):
        data = pack.pack(plan)
        digest = pack.write(data, file)
    return Built(file, digest, len(data), plan)


def _free(file: Path) -> Path:
    """The file, unless it holds what is not ours to replace: `-o petstore.yaml` is a slip of the hand."""
    if file.is_file() and file.stat().st_size and not is_artefact(file):
        raise ProjectError(f"{file}: exists and is not an artefact", "choose another name, or delete it first")
    return file


def _run(arguments: argparse.Namespace, console: Console) -> int:
    built = build(arguments.project, arguments.deployment_config, arguments.output, console)
    operations = sum(len(api.operations) for api in built.plan.apis)
    console.say(
        f"built {built.file}: {_counted(len(built.plan.apis), 'API')}, {_counted(operations, 'operation')}, "
        f"{built.size_bytes:,} bytes"
    )
    console.data(built.digest)
    return 0


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


COMMAND = Command(
    name="build",
    summary="compile a project into one executable file",
    run=_run,
    arguments=(Argument("PROJECT", "the project folder"),),
    options=(
        Option(("-d", "--deployment-config"), "TOML file to use instead of `conf/deployment-config.toml`", "FILE"),
        Option(
            ("-o", "--output"),
            "write the artefact here instead of `PROJECT/target/NAME`; missing folders are made",
            "FILE",
        ),
    ),
    about="The artefact's SHA-256 digest goes to standard output. The same project gives the same bytes, wherever and by "
    "whomever it is built. A build that fails leaves an older artefact as it was.",
    examples=("microgate build petstore", "./petstore/target/petstore --set listenerConfig.httpPort=8080"),
)
