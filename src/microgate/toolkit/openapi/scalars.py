"""What an unquoted YAML scalar or a JSON number means: the core schema of YAML 1.2, so `on`, `yes`, `12:30` and dates are text.

YAML 1.1 readers take `no` for false, which turns a country into a truth value; OpenAPI asks for the JSON schema of YAML 1.2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.flaw import MAX_NUMBER_DIGITS, Flaw

if TYPE_CHECKING:
    from microgate.toolkit.openapi.tree import Value

# A plain scalar that begins otherwise is a text; "" is the beginning of an empty one.
PLAIN_STARTS = frozenset(["", *"+-.0123456789~nNtTfF"])

_WORDS: dict[str, Value] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)


def plain(text: str, at: int) -> Value:
    """The value of an unquoted scalar; raises Flaw for a number that is too long."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return number(text, at)
    if _BASED.fullmatch(text):
        return _based(text, at)
    if _FLOAT.fullmatch(text):
        return number(text, at)
    return text


def number(text: str, at: int) -> int | float:
    """A decimal number; an integer stays one."""
    if len(text) > MAX_NUMBER_DIGITS:
        raise _too_long(at)
    try:
        return int(text)
    except ValueError:
        return float(text)


def _based(text: str, at: int) -> int:
    if len(text) > MAX_NUMBER_DIGITS:
        raise _too_long(at)
    return int(text, 0)


def _too_long(at: int) -> Flaw:
    return Flaw(
        catalogue.NUMBER_TOO_LONG, f"a number with more than {MAX_NUMBER_DIGITS} digits", at, "put it in quotes"
    )
