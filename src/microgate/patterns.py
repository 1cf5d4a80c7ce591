"""Regular expressions that cannot be made slow: those of RE2, within bounds on the pattern and on what it searches.

The compiler asks `problem` about the patterns of a project, the runtime searches with `compile`, so that both mean the same ones.
RE2's code is imported when the first pattern is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PATTERN_BYTES = 4_096
MAX_INSTRUCTIONS = 4_096  # of the program that a pattern becomes
# Instructions times bytes that one value may cost. RE2 needs some 25 ns for each at its worst, when a pattern has too many
# states to remember and is run as what it is; most patterns need a hundredth of it.
MAX_WORK = 1 << 20
MAX_VALUE_BYTES = 65_536
# RE2's memory for one pattern: its program, and the states it remembers.
_MEMORY_BYTES = 1 << 18
# Verdicts on values are remembered for each pattern, since headers and claims come again and again.
_REMEMBERED = 512
_REMEMBERED_BYTES = 256


class PatternError(ValueError):
    """Why a text is no pattern, in one line."""


def problem(pattern: str) -> str:
    """What is wrong with a pattern, or ""."""
    try:
        _parse(pattern)
    except PatternError as error:
        return str(error)
    return ""


def longest_value(pattern: str) -> int:
    """How many bytes a value may have to be searched; nothing is found in a longer one. Raises PatternError."""
    return _longest(_parse(pattern))


def compile(pattern: str) -> Callable[[bytes], bool]:  # noqa: A001 - as in `re.compile`, and called through the module
    """A search for the pattern anywhere in a value (UTF-8); raises PatternError.

    Nothing is found in a value that is longer than `longest_value`: to cut it would make an end that it does not have.
    """
    parsed = _parse(pattern)
    search = parsed.search
    longest = _longest(parsed)
    remembered: dict[bytes, bool] = {}

    def find(value: bytes) -> bool:
        known = remembered.get(value)
        if known is not None:
            return known
        length = len(value)
        if length > longest:
            return False
        found = search(value) is not None
        if length <= _REMEMBERED_BYTES:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            remembered[value] = found
        return found

    return find


def _parse(pattern: str) -> Any:
    import re2

    try:
        encoded = pattern.encode()
    except UnicodeEncodeError:
        raise PatternError("it holds half of a character") from None
    if len(encoded) > MAX_PATTERN_BYTES:
        raise PatternError(f"it is longer than {MAX_PATTERN_BYTES} bytes")
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    options.never_capture = True
    try:
        parsed = re2._Regexp(encoded, options)  # noqa: SLF001 - re2.compile keeps what it compiled for ever
    except re2.error as error:
        raise PatternError(_explain(error)) from None
    if parsed.programsize > MAX_INSTRUCTIONS:
        raise PatternError("it repeats too much: write smaller counts")
    return parsed


def _longest(parsed: Any) -> int:
    instructions: int = parsed.programsize
    return min(MAX_VALUE_BYTES, MAX_WORK // max(instructions, 1))


def _explain(error: Exception) -> str:
    """RE2's message, with what a user of other engines has to know."""
    raw = error.args[0] if error.args else ""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if text.startswith("invalid perl operator"):
        return f"{text} (lookahead, lookbehind and atomic groups are not supported, since they cannot be searched in linear time)"
    if text.startswith("invalid escape sequence") and text[-1:].isdigit():
        return f"{text} (references to groups are not supported, since they cannot be searched in linear time)"
    if text.startswith("bad repetition operator"):
        return f"{text} (possessive repetition is not supported; a plain one costs no more here)"
    if "too large" in text:
        return "it repeats too much: write smaller counts"
    return text
