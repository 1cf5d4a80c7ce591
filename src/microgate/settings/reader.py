"""Entries to typed sections: takes each declared key's value, reports what does not fit, and notes what without effect was set.

What no section asked for is left in `values` for `load.py`, which calls it unknown.
"""

from typing import Any, NamedTuple, TypeVar

import msgspec

from microgate.diagnostics import Report
from microgate.settings import catalogue
from microgate.settings.convert import OutOfRangeError, TypeMismatchError, convert, describe, quote
from microgate.settings.entries import BROKEN, DEFAULT, Entry, Origin, add
from microgate.settings.file import ConfigurationFile
from microgate.settings.schema import Field, fields, join
from microgate.settings.section import Home

S = TypeVar("S", bound=msgspec.Struct)
HIDDEN = "***"


class Value(NamedTuple):
    """A row of `--print-config`. `text` is the value in TOML's form, `***` for a secret."""

    key: str
    text: str
    origin: str


class Reader:
    """Reads sections out of `values`, and keeps the rows for `--print-config` and the origin of each key."""

    def __init__(
        self, values: dict[str, Entry], file: ConfigurationFile | None, report: Report, *, lenient: bool
    ) -> None:
        self.values = values
        self.rows: list[Value] = []
        self.origins: dict[str, Origin] = {}
        self.broken: set[str] = set()  # keys whose value was reported, so the default stands in
        self._file = file
        self._report = report
        self._lenient = lenient

    def section(self, kind: type[S], prefix: str = "", *, is_off: bool = False) -> S:
        """One section; what it holds is left without a warning where it `is_off`, that is switched off above."""
        filled: dict[str, Any] = {}
        declared = fields(kind)
        switch = next((one for one in declared if one.note is not None and one.note.switch), None)
        if switch is not None:
            filled[switch.attribute] = self._leaf(switch, join(prefix, switch.name), is_off=is_off)
            is_off = is_off or not filled[switch.attribute]
        for field in declared:
            if field is not switch:
                filled[field.attribute] = self._field(field, join(prefix, field.name), is_off=is_off)
        return kind(**filled)

    def _field(self, field: Field, name: str, *, is_off: bool) -> Any:
        if field.kind in {"section", "users", "map"}:
            self._reject_scalar(field, name)
        if field.kind == "section":
            assert field.section is not None
            return self.section(field.section, name, is_off=is_off)
        if field.kind == "sections":
            assert field.note is not None
            # What has no effect as a whole is reported as a whole.
            items = self._array(field, name, is_off=is_off or field.note.home is not Home.ACTED_ON)
            self._judge(field, name, items, is_off=is_off)
            return items
        if field.kind == "users":
            return self._users(field, name)
        return self._map(field, name, is_off=is_off) if field.kind == "map" else self._leaf(field, name, is_off=is_off)

    def _reject_scalar(self, field: Field, name: str) -> None:
        """A value stands where a table belongs; a single table in an array is taken for the table."""
        entry = self.values.get(name) if name else None
        if entry is None:
            return
        del self.values[name]
        value = entry.value
        if self._file is not None and _is_tables(value) and len(value) == 1 and not entry.is_text:
            self.values.update(self._file.entries(value[0], (*name.split("."), 0), name))
        elif value != {} and value is not BROKEN:
            self._mismatch(name, entry, "a table", is_secret=True)

    def _leaf(self, field: Field, name: str, *, is_off: bool) -> Any:
        note = field.note
        assert note is not None
        entry = self.values.pop(name, None)
        value = field.default
        if entry is not None and entry.value is BROKEN:
            self.broken.add(name)
        elif entry is not None:
            self.origins[name] = entry.origin
            value = self._convert(field, name, entry)
            self._judge(field, name, value, is_off=is_off)
        if field.required and value is None:
            if entry is None:
                self._missing(name)
            value = ""
        shown = HIDDEN if value and (note.secret or (entry is not None and entry.is_hidden)) else show(value)
        if value is not None:
            self.rows.append(Value(name, shown, str(entry.origin if entry is not None else DEFAULT)))
        return value

    def _convert(self, field: Field, name: str, entry: Entry) -> Any:
        assert field.note is not None
        # What a placeholder brought in is never repeated: it may have named the wrong secret.
        is_secret = field.note.secret or entry.is_hidden or (entry.is_text and entry.origin.line > 0)
        if any(str(one).startswith("@encrypted:") for one in _texts(entry.value)):
            add(
                self._report,
                catalogue.ENCRYPTED,
                f"`{name}` is encrypted with a secret of 3.x, which is not supported",
                entry.origin,
                hint="write `${env:NAME}` or `${file:PATH}` and keep the secret there",
            )
            self.broken.add(name)
            return field.default
        try:
            return convert(field, entry, lenient=self._lenient)
        except TypeMismatchError as error:
            self._mismatch(name, entry, str(error), is_secret=is_secret)
        except OutOfRangeError as error:
            given = "" if is_secret else f", not {_given(entry)}"
            add(self._report, catalogue.RANGE, f"`{entry.name or name}` {error}{given}", entry.origin)
        self.broken.add(name)
        return field.default

    def _mismatch(self, name: str, entry: Entry, expected: str, *, is_secret: bool) -> None:
        given = "" if is_secret else f", not {_given(entry)}"
        add(self._report, catalogue.TYPE, f"`{entry.name or name}` must be {expected}{given}", entry.origin)

    def _missing(self, name: str) -> None:
        table, _, key = name.rpartition(".")
        origin = self.origins.get(table, DEFAULT)
        add(self._report, catalogue.CONTRADICTION, f"`{table}` has no `{key}`", origin, hint=f"add `{key}`")

    def _judge(self, field: Field, name: str, value: Any, *, is_off: bool) -> None:
        """Say once what a key without effect means, unless it is at its default or its table is off."""
        note = field.note
        assert note is not None
        if value == field.default or value in note.harmless or note.home is Home.ACTED_ON:
            return
        if field.optional and not value:
            return
        if note.home is Home.REFUSED:
            add(
                self._report,
                catalogue.RESTRICTS,
                f"`{name}` is a restriction that is not supported yet: {note.description}",
                self.origins[name],
                hint="remove the key if the gateway may serve without it",
            )
        elif not is_off:
            message = f"`{name}` has no effect yet ({note.description})"
            add(self._report, catalogue.WITHOUT_EFFECT, message, self.origins[name])

    def _array(self, field: Field, name: str, *, is_off: bool) -> tuple[Any, ...]:
        assert field.section is not None
        entry = self.values.pop(name, None)
        single = {key for key in self.values if key.startswith(name + ".")}
        if entry is None and single:
            # The old form: one table where an array of tables belongs; its keys may come from anywhere.
            first = self.values[min(single)].origin
            self.origins[name] = first
            return (self.section(field.section, name, is_off=is_off),)
        for key in single:
            stray = self.values.pop(key)
            message = f"`{key}` cannot be set here, since the file has an array of tables `{name}`"
            add(self._report, catalogue.ARRAY, message, stray.origin, hint="change the file")
        return () if entry is None else self._elements(field, name, entry, is_off=is_off)

    def _elements(self, field: Field, name: str, entry: Entry, *, is_off: bool) -> tuple[Any, ...]:
        assert field.section is not None
        self.origins[name] = entry.origin
        value = entry.value
        if value is BROKEN or value in ([], {}):
            return ()
        if entry.is_text or self._file is None:
            message = f"`{name}` is an array of tables, which only the file can hold"
            add(self._report, catalogue.ARRAY, message, entry.origin, hint="write it to the configuration file")
            return ()
        if not _is_tables(value):
            self._mismatch(name, entry, "an array of tables", is_secret=True)
            return ()
        items = []
        for index, table in enumerate(value):
            below = f"{name}[{index}]"
            path = (*_path(name), index)
            self.origins[below] = self._file.origin(path)
            self.values.update(self._file.entries(table, path, below))
            items.append(self.section(field.section, below, is_off=is_off))
        return tuple(items)

    def _users(self, field: Field, name: str) -> dict[str, Any]:
        assert field.section is not None
        endings = tuple(f".{one.name}" for one in fields(field.section))
        start = len(name) + 1
        found = {
            key[start : -len(ending)]
            for key in self.values
            for ending in endings
            if key.startswith(name + ".") and key.endswith(ending) and len(key) > start + len(ending)
        }
        return {user: self.section(field.section, f"{name}.{user}") for user in sorted(found)}

    def _map(self, field: Field, name: str, *, is_off: bool) -> dict[str, str]:
        result = {}
        for key in sorted(self.values):
            if key.startswith(name + "."):
                inner = field._replace(kind="text", default="", required=False)
                result[key[len(name) + 1 :]] = self._leaf(inner, key, is_off=is_off)
        return result


def _path(name: str) -> tuple[str | int, ...]:
    """The path in the file of a dotted name, whose parts may carry an index: `a.b[0].c`."""
    path: list[str | int] = []
    for part in name.split("."):
        word, _, index = part.partition("[")
        path.append(word)
        if index:
            path.append(int(index.rstrip("]")))
    return tuple(path)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _given(entry: Entry) -> str:
    return quote(entry.value) if entry.is_text else describe(entry.value)


def show(value: Any) -> str:
    """A typed value in TOML's form, credentials inside addresses left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + _without_credentials(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(show(one) for one in value) + "]"
    return str(value)


def _without_credentials(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    _, at, host = authority.rpartition("@")
    return f"{scheme}{separator}{HIDDEN}@{host}{slash}{path}" if separator and at else text
