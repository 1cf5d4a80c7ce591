"""`micro-gw`: the toolkit's command line as users of WSO2 API Microgateway 3.x type it (§2.1-2.4 of its behaviour), on top of
the commands of `microgate`. Errors open with `micro-gw: ` and every failure exits with 1.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from microgate import __version__
from microgate.cli.console import Console
from microgate.cli.declaration import build_parser
from microgate.cli.guard import guard
from microgate.cli.main import load, without_verbose
from microgate.errors import Findings, MicrogateError, ProjectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "micro-gw"
COMMANDS = ("init", "build", "import", "reset", "version", "help")
LATER = ("import", "reset")
DEBUG_FLAG = "--java.debug"
_SYNONYMS = {"?": "help", "-h": "help", "--help": "help", "-v": "version", "--version": "version"}

_MENU = """\
usage: micro-gw COMMAND ... [--verbose]

  init PROJECT     make a project
  build PROJECT    build a project into one executable
  version          print the version
  help [COMMAND]   print this, or what a command takes

`microgate help` shows what else there is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    console = Console(PROGRAM)
    words = list(sys.argv[1:] if arguments is None else arguments)
    return 1 if guard(console, lambda: _dispatch(words, console)) else 0


def _dispatch(words: list[str], console: Console) -> int:
    words, console.verbose = without_verbose(words)
    if DEBUG_FLAG in words:
        place = words.index(DEBUG_FLAG)
        del words[place : place + 2]
        console.warning(f"`{DEBUG_FLAG}` has no effect: there is no Java in this toolkit")
    if not words:
        raise UsageError("Command not specified", "run `micro-gw help`")
    name, rest = _SYNONYMS.get(words[0], words[0]), words[1:]
    if name not in COMMANDS:
        raise UsageError(f"Unknown command '{words[0]}'", "run `micro-gw help`")
    if name == "version":
        console.data(f"microgate {__version__}")
        return 0
    if name == "help" or any(word in ("?", "-h", "--help", "help") for word in rest):
        return _help(rest if name == "help" else [name], console)
    if name in LATER or any(word.startswith("--docker") for word in rest):
        what = name if name in LATER else next(word for word in rest if word.startswith("--docker")).split("=")[0]
        raise ProjectError(f"`{what}` is not supported yet")
    try:
        return _init(rest, console) if name == "init" else _build(rest, console)
    except UsageError as error:
        raise UsageError(str(error), error.hint or f"run `micro-gw help {name}`") from error


def _help(words: list[str], console: Console) -> int:
    from microgate.cli import help_text

    if words and words[0] in ("init", "build"):
        console.data(help_text.of_command(PROGRAM, load(words[0])))
    elif words and words[0] in LATER:
        console.data(f"micro-gw {words[0]}: not supported yet")
    elif words and words[0] not in COMMANDS:
        raise UsageError(f"Unknown command '{words[0]}'", "run `micro-gw help`")
    else:
        console.data(_MENU)
    return 0


def _init(words: list[str], console: Console) -> int:
    from microgate.cli import init

    arguments = build_parser(PROGRAM, init.COMMAND).parse_args(words)
    # Slashes were always taken off a project's name.
    arguments.name = arguments.name.strip("/")
    folder = init.create(arguments, console)
    console.data(f"Project '{folder}' is initialized successfully.")
    console.data(
        f"Put API definitions into {folder}/api_definitions, then run: micro-gw build {shlex.quote(str(folder))}"
    )
    return 0


def _build(words: list[str], console: Console) -> int:
    from microgate.cli import build

    arguments = build_parser(PROGRAM, build.COMMAND).parse_args(words)
    project = arguments.project.strip("/")
    if not Path(project).is_dir():
        raise ProjectError(f"Project {project} does not exist.", f"make it with `micro-gw init {project}`")
    try:
        built = build.build(project, arguments.deployment_config, arguments.output, console)
    except Findings as findings:
        from microgate.cli import diagnostics_text

        console.say(diagnostics_text.render(findings.diagnostics, paint=console.paint))
        console.say(diagnostics_text.summary(findings.diagnostics))
        console.data("BUILD FAILED")
        return findings.exit_code
    except MicrogateError:
        console.data("BUILD FAILED")
        raise
    console.data("Generating sources... [DONE]")
    console.data("BUILD SUCCESSFUL")
    console.data(f"Target: {built.file.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
