"""`microgate completion SHELL`: a script that completes commands, options and file names in a shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microgate.cli.declaration import Argument, Command, add_declared

if TYPE_CHECKING:
    from microgate.cli.console import Console

_FILES = {"FILE", "PROJECT", "ARTEFACT", "TARGET", "FILE_OR_URL"}


def _run(arguments: argparse.Namespace, console: Console) -> int:
    import shtab

    from microgate.cli import main

    parser = argparse.ArgumentParser(prog=main.PROGRAM, add_help=False)
    commands = parser.add_subparsers()
    for command in map(main.load, main.COMMANDS):
        one = commands.add_parser(command.name, help=command.summary, aliases=command.aliases)
        add_declared(one, command)
        for action in one._actions:  # noqa: SLF001 - shtab's own way to mark what takes a file
            if action.metavar in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it
    console.data(shtab.complete(parser, shell=arguments.shell).rstrip())
    return 0


COMMAND = Command(
    name="completion",
    summary="print a script that completes commands in your shell",
    run=_run,
    arguments=(Argument("SHELL", "the shell", choices=("bash", "zsh", "tcsh")),),
    examples=('eval "$(microgate completion bash)"',),
)
