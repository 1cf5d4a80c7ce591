"""`microgate`: names the commands and runs the one that was asked for. Each command is a file of this package, imported only
when it is used, because serving an artefact must not load what building one needs.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from microgate.cli.console import Console
from microgate.cli.declaration import Command, build_parser, nearest
from microgate.cli.guard import guard
from microgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "microgate"

# In the order of a project's life.
COMMANDS = (
    "init",
    "check",
    "build",
    "run",
    "routes",
    "limits",
    "simulate",
    "inspect",
    "token",
    "key",
    "hash-password",
    "completion",
    "version",
    "help",
)
SYNONYMS = {"validate": "check", "?": "help", "-h": "help", "--help": "help", "-v": "version", "--version": "version"}
HELP_FLAGS = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    console = Console()
    words = list(sys.argv[1:] if arguments is None else arguments)
    return guard(console, lambda: dispatch(words, console))


def dispatch(words: list[str], console: Console) -> int:
    """Find the command and run it; raises MicrogateError."""
    words, console.verbose = without_verbose(words)
    if not words:
        from microgate.cli import help_text

        console.say(help_text.menu())
        return UsageError.exit_code
    name = SYNONYMS.get(words[0], words[0])
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(
            f"unknown {kind} `{words[0]}`",
            nearest(words[0], [*COMMANDS, "validate"]) or f"`{PROGRAM} help` lists the commands",
        )
    command = load(name)
    rest = words[1:]
    if any(word in HELP_FLAGS for word in _before_values(rest)):
        from microgate.cli import help_text

        console.data(help_text.of_command(PROGRAM, command))
        return 0
    return command.run(build_parser(PROGRAM, command).parse_intermixed_args(rest), console)


def load(name: str) -> Command:
    """The declaration of a command."""
    module = importlib.import_module(
        f"microgate.cli.{name.replace('-', '_')}" if name != "help" else "microgate.cli.help_text"
    )
    command = module.COMMAND
    assert isinstance(command, Command)
    return command


def without_verbose(words: Sequence[str]) -> tuple[list[str], bool]:
    """The words without --verbose, which may stand anywhere, and whether it was there."""
    kept = [word for word in words if word != "--verbose"]
    return kept, len(kept) < len(words)


def _before_values(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


if __name__ == "__main__":
    sys.exit(main())
