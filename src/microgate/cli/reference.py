"""The reference page of the command line, made from the declarations of the commands. `docs/generate.py` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.cli import help_text, main

if TYPE_CHECKING:
    from microgate.cli.declaration import Command

_OPENING = """\
# The command line

`microgate` makes, checks, builds and serves projects. Data goes to standard output, the rest to standard error. Exit codes:
0 fine, 1 findings, 2 usage, 3 internal error. `NO_COLOR` turns colour off. `--verbose` may stand anywhere.

`micro-gw` and `gateway` take the command lines of WSO2 API Microgateway 3.x; [migration](migration.md) tells what differs.
"""


def render() -> str:
    """The page in Markdown."""
    return "\n".join([_OPENING, *(_section(main.load(name)) for name in main.COMMANDS)])


def _section(command: Command) -> str:
    lines = [f"## microgate {command.name}", "", f"{_sentence(command.summary)} {command.about}".rstrip(), ""]
    if command.aliases:
        lines += [f"Also called {', '.join(f'`{alias}`' for alias in command.aliases)}.", ""]
    lines += ["```text", help_text.usage(main.PROGRAM, command), "```", ""]
    rows = [(argument.name, help_text.argument_text(argument)) for argument in command.arguments]
    rows += [(help_text.flags(option), help_text.option_text(option)) for option in command.options]
    if rows:
        lines += ["| | |", "|---|---|", *(f"| `{left}` | {right} |" for left, right in rows), ""]
    if command.examples:
        lines += ["```text", *command.examples, "```", ""]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
