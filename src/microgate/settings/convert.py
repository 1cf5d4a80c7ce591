"""One written value to one typed value, or the words that say why not."""

from typing import Any

from microgate.settings.entries import Entry
from microgate.settings.schema import Field

_EXPECTED = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "text": "a string",
    "texts": "an array of strings",
    "sections": "an array of tables",
    "users": "a table for each name",
    "map": "a table",
}
_MAX_SHOWN = 60


class TypeMismatchError(Exception):
    pass


class OutOfRangeError(Exception):
    pass


def convert(field: Field, entry: Entry, *, lenient: bool) -> Any:
    """The value as the field's type; raises TypeMismatchError or OutOfRangeError with what was expected.

    Text from the environment, the command line or a placeholder is read as the field's type; so is quoted text in a file
    when `lenient`, as 3.x did.
    """
    value = entry.value
    is_text = entry.is_text or (lenient and isinstance(value, str | int) and not isinstance(value, bool))
    result = _from_text(field, str(value)) if is_text else _from_toml(field, value)
    if entry.is_negated:
        result = not result
    note = field.note
    if note is not None and isinstance(result, int | float):
        if (note.low is not None and result < note.low) or (note.high is not None and result > note.high):
            raise OutOfRangeError(_range(note.low, note.high))
        if field.kind == "integer" and not -(2**63) <= result < 2**63:
            raise OutOfRangeError("must fit 64 bits")
    if field.choices:
        return _choose(field.choices, result)
    if _has_control(result):
        raise OutOfRangeError("must not contain control characters")
    return result


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"must be at most {high}"
    return f"must be at least {low}" if high is None else f"must be between {low} and {high}"


def _choose(choices: tuple[str, ...], value: str) -> str:
    for choice in choices:
        if choice.lower() == value.lower():
            return choice
    raise OutOfRangeError("must be one of " + ", ".join(f"`{choice}`" for choice in choices))


def _has_control(value: Any) -> bool:
    """Control characters have no place in a path, a header or an address, and would tear log lines."""
    if isinstance(value, tuple):
        return any(_has_control(one) for one in value)
    return isinstance(value, str) and not value.isprintable()


def _from_toml(field: Field, value: Any) -> Any:
    kind = field.kind
    if kind == "texts":
        if isinstance(value, str):
            return _split(value)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
    elif (
        (kind == "text" and isinstance(value, str))
        or (kind == "boolean" and isinstance(value, bool))
        or (kind == "integer" and isinstance(value, int) and not isinstance(value, bool))
    ):
        return value
    elif kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(float(value))
    raise TypeMismatchError(_EXPECTED[kind])


def _from_text(field: Field, text: str) -> Any:
    kind = field.kind
    if kind == "text":
        return text
    if kind == "texts":
        return _split(text)
    text = text.strip()
    if kind == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "integer" and _is_integer(text):
        return int(text)
    if kind == "number":
        try:
            return _finite(float(text))
        except ValueError:
            pass
    raise TypeMismatchError(_EXPECTED[kind])


def _is_integer(text: str) -> bool:
    digits = text[1:] if text[:1] in {"-", "+"} else text
    return digits.isascii() and digits.isdigit() and len(digits) < 20


def _finite(value: float) -> float:
    if abs(value) < float("inf"):
        return value
    raise TypeMismatchError(_EXPECTED["number"])


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def describe(value: Any) -> str:
    """A value as the user wrote it, for a message: `the string "abc"`, `a table`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the string {quote(value)}"
    if isinstance(value, int | float):
        return f"the number {_short(str(value))}" if abs(value) < 10**20 else "a very large number"
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else "a date or time"


def quote(text: str) -> str:
    """As a TOML string, on one line and of bounded length."""
    shown = _short(text).replace("\\", "\\\\").replace('"', '\\"')
    plain = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in shown)
    return f'"{plain}"'


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
