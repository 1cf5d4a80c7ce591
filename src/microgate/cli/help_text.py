"""`microgate help`: the menu of commands, and what one command takes. The text comes from the declarations."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from microgate.cli.declaration import Argument, Command, Option, nearest
from microgate.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from microgate.cli.console import Console

WIDTH = 100
MARGIN = 30  # longer left columns stand on a line of their own

EVERYWHERE = (
    Option(("-h", "--help"), "print this"),
    Option(("--verbose",), "say more; an internal error shows where it happened"),
)


def menu() -> str:
    """What `microgate` alone prints."""
    from microgate.cli import main

    rows = [(command.name, command.summary) for command in map(main.load, main.COMMANDS)]
    return "\n".join(
        [
            "microgate: OpenAPI descriptions in, one executable gateway out",
            "",
            f"usage: {main.PROGRAM} COMMAND ...",
            "",
            *_columns(rows),
            "",
            f"`{main.PROGRAM} help COMMAND` shows what a command takes.",
        ]
    )


def of_command(program: str, command: Command) -> str:
    """What `microgate help COMMAND` prints."""
    lines = [f"{program} {command.name}: {command.summary}", "", f"usage: {usage(program, command)}"]
    if command.aliases:
        lines += ["", f"also called: {', '.join(command.aliases)}"]
    if command.about:
        lines += ["", *textwrap.wrap(command.about, WIDTH)]
    if command.arguments:
        lines += ["", *_columns((a.name, argument_text(a)) for a in command.arguments)]
    lines += ["", *_columns((flags(o), option_text(o)) for o in (*command.options, *EVERYWHERE))]
    if command.examples:
        lines += ["", "examples:", *(f"  {example}" for example in command.examples)]
    return "\n".join(lines)


def usage(program: str, command: Command) -> str:
    """One line with every argument and option."""
    words = [program, command.name]
    for argument in command.arguments:
        name = argument.name + ("..." if argument.many else "")
        words.append(name if argument.default is None and not argument.many else f"[{name}]")
    for option in command.options:
        text = f"{option.flags[0]} {option.value}".strip()
        words.append(f"[{text}]" + ("..." if option.repeated else ""))
    return " ".join(words)


def flags(option: Option) -> str:
    """`-o, --output FILE`."""
    return f"{', '.join(option.flags)} {option.value}".strip()


def option_text(option: Option) -> str:
    """What an option does, what it may be, and what it is when it is not given."""
    text = option.text
    if option.choices:
        text += f": {', '.join(option.choices)}"
    if option.default:
        text += f" (default: {option.default})"
    if option.repeated:
        text += "; may be repeated"
    return text


def argument_text(argument: Argument) -> str:
    """What an argument is, what it may be, and what it is when it is not given."""
    text = argument.text
    if argument.choices:
        text += f": {', '.join(argument.choices)}"
    return f"{text} (default: {argument.default})" if argument.default else text


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    rows = list(rows)
    margin = min(MARGIN, max((len(left) for left, _ in rows), default=0))
    lines = []
    for left, right in rows:
        wrapped = textwrap.wrap(right, WIDTH - margin - 4)
        if len(left) > margin:
            lines.append(f"  {left}")
            left = ""  # noqa: PLW2901 - its text begins on the next line
        lines += [f"  {left if i == 0 else '':{margin}}  {text}" for i, text in enumerate(wrapped)]
    return lines


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.cli import main

    if not arguments.command:
        console.data(menu())
        return 0
    name = main.SYNONYMS.get(arguments.command, arguments.command)
    if name not in main.COMMANDS:
        raise UsageError(f"unknown command `{arguments.command}`", nearest(arguments.command, main.COMMANDS))
    console.data(of_command(main.PROGRAM, main.load(name)))
    return 0


COMMAND = Command(
    name="help",
    summary="say what the commands are, or what one takes",
    run=_run,
    arguments=(Argument("COMMAND", "the command to explain", default=""),),
)
