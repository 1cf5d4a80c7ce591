"""What is wrong with a text that is no TOML, in words for its author, and where. The parser of the standard library says it in
words about itself, and loses the place of what was begun and never closed. Whoever reads TOML of a user's calls `explain`.
"""

import ast
import re
import tomllib
from typing import NamedTuple

from microgate.settings import positions

QUOTES_HINT = 'text stands in quotes, as in `host = "0.0.0.0"`; `true`, `false` and numbers stand without'
_MAX_NAME = 60
_PLACE = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_STRING = "a string without its closing quote"
_STRING_HINT = "a string ends on its line, unless three quotes begin it"
_ESCAPE = "an escape in a string that is none"
_ESCAPE_HINT = "a backslash in double quotes is written twice; in single quotes it stands for itself"
_CLOSED = "more for a table that was complete already"
_CLOSED_HINT = "what was written in one piece, as `{…}` or `[…]`, takes no more later: write it in one place"

# The beginning of the parser's words; ours; what to do.
_WORDS = (
    ("Cannot overwrite a value", "a key that is set already", "keep one of them"),
    ("Cannot mutate immutable", _CLOSED, _CLOSED_HINT),
    ("Cannot redefine namespace", _CLOSED, _CLOSED_HINT),
    ("Duplicate inline table key", "a key that is set already between these braces", "keep one of them"),
    ("Escaped character", _ESCAPE, _ESCAPE_HINT),
    ("Invalid hex value", _ESCAPE, _ESCAPE_HINT),
    ("Unescaped '\\' in a string", _ESCAPE, _ESCAPE_HINT),
    ("Expected '=' after a key", "a key without `=` and a value", ""),
    ("Expected ']' at the end", "the header of a table without its closing `]`", ""),
    ("Expected ']]' at the end", "the header of an array of tables without its closing `]]`", ""),
    ("Expected newline or end", "more on the line than one value", QUOTES_HINT),
    ("Expected '", _STRING, ""),
    ('Expected "', _STRING, ""),
    ("Invalid date or datetime", "a date or time that there is not", ""),
    ("Invalid initial character", "a key that is empty or begins with a character that only quotes allow", ""),
    ("Invalid statement", "neither `key = value` nor the header of a table", ""),
    ("Invalid value", "no value where one belongs", QUOTES_HINT),
    ("Unclosed array", "an array without its closing `]`, or without a comma between two values", ""),
    ("Unclosed inline table", "an inline table without its closing `}`, or without a comma between two keys", ""),
    ("Unterminated string", _STRING, ""),
    ("Illegal character '\\n'", _STRING, _STRING_HINT),
    ("Found invalid character '\\n'", _STRING, _STRING_HINT),
    ("Illegal character", "a control character", "remove it"),
    ("Found invalid character", "a control character", "remove it"),
)


class Flaw(NamedTuple):
    """`line` and `column` count from 1."""

    message: str
    line: int
    column: int
    hint: str = ""


def explain(error: tomllib.TOMLDecodeError, text: str) -> Flaw:
    """What the parser found in the text."""
    found = _PLACE.match(str(error))
    said, line, column = found.groups() if found else (str(error), "", "")
    message, hint = _translated(said)
    if line and column:
        return Flaw(message, int(line), int(column), hint)
    # What is wrong or open at the end began with the last key or header.
    return Flaw(message, *positions.last(text), hint)


def _translated(said: str) -> tuple[str, str]:
    name = _table_named(said)
    if name:
        return f"the table `{name}` is there already", "write its keys under one header"
    for begin, message, hint in _WORDS:
        if said.startswith(begin):
            return message, hint
    return "what is no TOML", ""


def _table_named(said: str) -> str:
    """`a.b` of `Cannot declare ('a', 'b') twice`."""
    found = re.fullmatch(r"Cannot declare (\(.*\)) twice", said, re.DOTALL)
    if found is None:
        return ""
    try:
        name = ".".join(ast.literal_eval(found[1]))
    except (ValueError, SyntaxError, TypeError):
        return "…"
    return name if len(name) <= _MAX_NAME else name[:_MAX_NAME] + "…"
