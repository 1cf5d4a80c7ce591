"""Where the setting was written that a start ends on: key files, addresses and formats are tried long after the settings are
read, by those who know nothing of files and lines. serving.py calls this on what they raise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from microgate.errors import Findings, MicrogateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microgate.settings.reader import Value

E = TypeVar("E", bound=BaseException)

DEFAULT = "default"
_QUOTED = re.compile(r"`([^`]+)`")
_KEY = re.compile(r"\w[\w\[\]]*(?:\.[\w\[\]]+)+")


def place_of(message: str, hint: str, values: Sequence[Value]) -> str:
    """`micro-gw.conf:4` or the like for the setting that a message names or whose value it quotes; "" where there is none.

    The last quoted value counts: `issuer X cannot use FILE` is about the file.
    """
    origins = {row.key: row.origin for row in values if row.origin != DEFAULT}
    by_text: dict[str, str] = {}
    for row in values:
        if row.origin != DEFAULT:
            by_text.setdefault(row.text, row.origin)
    for candidate in _candidates(message, hint, origins, by_text):
        if candidate:
            return candidate
    return ""


def placed(error: E, values: Sequence[Value]) -> E:
    """The error with the place of the setting that it is about before its text, where there is one."""
    if not isinstance(error, MicrogateError) or isinstance(error, Findings):
        return error
    place = place_of(str(error), error.hint, values)
    return type(error)(f"{place}: {error}", error.hint) if place else error


def _candidates(message: str, hint: str, origins: dict[str, str], by_text: dict[str, str]) -> Iterator[str]:
    quoted = _QUOTED.findall(message)
    yield from (origins.get(text, "") for text in quoted)
    yield from (by_text.get(f'"{text}"', "") for text in reversed(quoted))
    yield from (origins.get(text, "") for text in _KEY.findall(hint))
