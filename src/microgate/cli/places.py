"""Where the setting was written that a start ends on: key files, addresses and formats are tried long after the settings are
read, by those who know nothing of files and lines. serving.py calls this on what they raise.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from microgate.errors import Findings, MicrogateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microgate.settings.reader import Value

E = TypeVar("E", bound=BaseException)

DEFAULT = "default"
_QUOTED = re.compile(r"`([^`]+)`")
_INDEX = re.compile(r"\[\d+\]")
_KEY = re.compile(r"\w[\w\[\]]*(?:\.[\w\[\]]+)+")


def place_of(error: MicrogateError, values: Sequence[Value]) -> str:
    """`micro-gw.conf:4` or the like for the setting that an error is about; "" where that is not known.

    It is known where the error itself says so, or names a key. Else the value that it quotes tells, unless several settings
    have that value; the last quoted one counts, since `issuer X cannot use FILE` is about the file.
    """
    given = [row for row in values if row.origin != DEFAULT]
    # A message may name a key of all tables of an array, which is enough where there is but one.
    origins = {_INDEX.sub("", row.key): row.origin for row in reversed(given)} | {row.key: row.origin for row in given}
    # One table where an array of them belongs is read as an array of one.
    names = list(dict.fromkeys(name for key in error.settings for name in (key, key.replace("[0]", ""))))
    concerned = [row for name in names for row in given if row.key == name or row.key.startswith(f"{name}.")]
    quoted = _QUOTED.findall(str(error))
    candidates = chain(
        _of_values(quoted, concerned),
        (origins.get(text, "") for text in quoted),
        # A whole section says too little; a table of an array stands together.
        (row.origin for row in concerned if row.key in names or "[" in names[0]),
        _of_values(quoted, given),
        (origins.get(text, "") for text in _KEY.findall(error.hint)),
    )
    return next(filter(None, candidates), "")


def _of_values(quoted: list[str], rows: Sequence[Value]) -> Iterator[str]:
    """Where each value was written, the last first; one that was written for several keys stands nowhere in particular."""
    for text in reversed(quoted):
        origins = [row.origin for row in rows if row.text == f'"{text}"']
        yield origins[0] if len(origins) == 1 else ""


def placed(error: E, values: Sequence[Value]) -> E:
    """The error with the place of the setting that it is about before its text, where there is one."""
    if not isinstance(error, MicrogateError) or isinstance(error, Findings):
        return error
    place = place_of(error, values)
    return type(error)(f"{place}: {error}", error.hint) if place else error
