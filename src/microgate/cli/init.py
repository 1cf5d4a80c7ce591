"""`microgate init`: makes a project folder. `micro-gw init` shares `create`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from microgate.cli.declaration import Argument, Command, Option
from microgate.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console


def create(arguments: argparse.Namespace, console: Console) -> Path:
    """Make the project that the arguments ask for; its folder. Raises MicrogateError."""
    from microgate.toolkit.project import definitions, scaffold

    folder = Path(str(arguments.name).rstrip("/") or arguments.name)
    access = definitions.Access(headers=_headers(arguments.headers, arguments.values), insecure=arguments.insecure)
    fetched = []
    for source in arguments.api_definition:
        with console.progress(f"fetching {source}"):
            fetched.append(definitions.fetch(source, access))
    deployment = Path(arguments.deployment_config) if arguments.deployment_config else None
    scaffold.initialise(folder, fetched, deployment, force=arguments.force)
    return folder


def _headers(names: str | None, values: str | None) -> tuple[tuple[str, str], ...]:
    if names is None and values is None:
        return ()
    left = [name.strip() for name in (names or "").split(",")]
    right = [value.strip() for value in (values or "").split(",")]
    if names is None or values is None or len(left) != len(right):
        raise UsageError(
            "--headers and --values do not have the same number of entries",
            "give both as lists with commas, as in --headers Accept,X-Key --values '*/*,secret'",
        )
    for name, value in zip(left, right, strict=True):
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise UsageError(f"`{name}` is not a header name")
        if not re.fullmatch(r"[\t\x20-\x7e]*", value):
            raise UsageError(f"the value for header `{name}` has characters that a header cannot carry")
    return tuple(zip(left, right, strict=True))


def _run(arguments: argparse.Namespace, console: Console) -> int:
    folder = create(arguments, console)
    console.say(f"project `{folder}` is initialised")
    if not arguments.api_definition:
        console.say(f"next: put your OpenAPI files into {folder / 'api_definitions'}")
    console.say(f"then: microgate build {shlex.quote(str(folder))}")
    return 0


COMMAND = Command(
    name="init",
    summary="make a project folder",
    run=_run,
    arguments=(Argument("NAME", "the folder to make"),),
    options=(
        Option(
            ("-a", "--api-definition"),
            "OpenAPI file to begin with, copied or downloaded into `api_definitions`",
            "FILE_OR_URL",
            repeated=True,
        ),
        Option(("-d", "--deployment-config"), "TOML file to use as `conf/deployment-config.toml`", "FILE"),
        Option(("-f", "--force"), "replace an existing project; anything else is never deleted"),
        Option(("--headers",), "header names to send with a download, separated by commas", "NAMES"),
        Option(("--values",), "their values, separated by commas", "VALUES"),
        Option(("-k", "--insecure"), "do not verify the server's certificate when downloading"),
    ),
    examples=("microgate init petstore", "microgate init petstore -a petstore.yaml"),
)
