"""How a command is declared: its arguments and options as data. From this come the parser, the help, the reference page and
shell completion, so that they agree. One declaration stands at the top of each command's file.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from microgate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from microgate.cli.console import Console


@dataclass(frozen=True, slots=True)
class Argument:
    """A word given by its place. `many` takes all that follow."""

    name: str
    text: str
    default: str | None = None  # None: it must be given
    many: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """A word given by its flag. Without `value` it is a switch."""

    flags: tuple[str, ...]
    text: str
    value: str = ""  # what stands for the value in help
    repeated: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None
    convert: Callable[[str], Any] = str


@dataclass(frozen=True, slots=True)
class Command:
    """A command as its user meets it, and the function behind it, which gives the exit code."""

    name: str
    summary: str
    run: Callable[[argparse.Namespace, Console], int]
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    about: str = ""  # sentences below the usage line
    examples: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


OUTPUT = Option(("-o", "--output"), "write to this file instead of standard output", "FILE")


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is a UsageError in our words, with the nearest thing that exists as the hint."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(*_in_our_words(message, self.prog, list(self._option_string_actions)))


def build_parser(program: str, command: Command) -> Parser:
    """The parser of one command. The attributes of what it parses are named after the long flag or the argument."""
    parser = Parser(prog=f"{program} {command.name}", add_help=False, allow_abbrev=False, description=command.summary)
    add_declared(parser, command)
    return parser


def add_declared(parser: argparse.ArgumentParser, command: Command) -> None:
    """Give a parser the command's arguments and options."""
    for argument in command.arguments:
        count = "*" if argument.many else "?" if argument.default is not None else None
        more: dict[str, Any] = {"nargs": count} if count else {}
        parser.add_argument(
            argument.name.lower().replace(" ", "_"),
            metavar=argument.name,
            help=argument.text,
            default=argument.default,
            choices=argument.choices or None,
            **more,
        )
    for option in command.options:
        if option.value:
            parser.add_argument(
                *option.flags,
                metavar=option.value,
                help=option.text,
                action="append" if option.repeated else "store",
                choices=option.choices or None,
                default=[] if option.repeated else option.default,
                type=option.convert,
            )
        else:
            parser.add_argument(*option.flags, help=option.text, action="store_true")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A converter for options that take a number within bounds."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"`{text}` is not a whole number from {low} to {high}")
        return int(text)

    return convert


def nearest(word: str, known: Sequence[str]) -> str:
    """The hint for a word that is not known: the most similar one, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def _in_our_words(message: str, program: str, flags: list[str]) -> tuple[str, str]:
    name, _, command = program.partition(" ")
    see = f"`{name} help {command}` shows what it takes" if command else f"`{name} help` lists the commands"
    if found := re.fullmatch(r"unrecognized arguments: (.*)", message):
        word = found.group(1).split(" ")[0]
        if word.startswith("-"):
            return f"unknown option `{word}`", nearest(word.split("=")[0], flags) or see
        return f"unexpected argument `{word}`", see
    if found := re.fullmatch(r"the following arguments are required: (.*)", message):
        return f"{found.group(1)} is missing", see
    if found := re.fullmatch(r"argument ([^:]*): expected one argument", message):
        return f"option `{found.group(1).split('/')[-1]}` needs a value", see
    if found := re.fullmatch(r"argument ([^:]*): ignored explicit argument (.*)", message):
        return f"option `{found.group(1).split('/')[-1]}` takes no value", see
    if found := re.fullmatch(r"argument ([^:]*): invalid choice: '(.*)' \(choose from (.*)\)", message):
        choices = found.group(3).replace("'", "")
        return f"`{found.group(2)}` is not possible for `{found.group(1).split('/')[-1]}`", f"choose from {choices}"
    if found := re.fullmatch(r"argument ([^:]*): (.*)", message):
        return f"option `{found.group(1).split('/')[-1]}`: {found.group(2)}", see
    return message, see
