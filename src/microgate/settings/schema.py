"""The declared keys as a flat list: what the sections say, read once from their annotations.

The reader, the environment's names, the aliases, the hints and the reference page all start from `KEYS` or `tables`.
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from microgate.settings.model import Settings
from microgate.settings.section import Note, Section


class Field(NamedTuple):
    """One field of a section. Exactly one of `note` and `section` is what the reader goes by; both for tables in arrays."""

    attribute: str
    name: str  # as in the file, may hold dots; "" for a section whose keys stand at the top
    kind: (
        str  # boolean, integer, number, text, texts, section, sections (array of tables), users (table of tables), map
    )
    default: Any
    note: Note | None = None
    section: type[Section] | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False  # None stands for "not set"
    required: bool = False


class Key(NamedTuple):
    """A key by its full name."""

    name: str
    field: Field


_KINDS: dict[object, str] = {bool: "boolean", int: "integer", float: "number", str: "text"}


def join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def fields(section: type[msgspec.Struct]) -> tuple[Field, ...]:
    """What a section declares, in its order."""
    known = _fields.get(section)
    if known is None:
        known = _fields[section] = tuple(_read(section))
    return known


_fields: dict[type[msgspec.Struct], tuple[Field, ...]] = {}


def _read(section: type[msgspec.Struct]) -> Iterator[Field]:
    attributes, names = section.__struct_fields__, section.__struct_encode_fields__
    defaults = section.__struct_defaults__
    missing = len(attributes) - len(defaults)
    for position, (attribute, name) in enumerate(zip(attributes, names, strict=True)):
        annotation = section.__annotations__[attribute]
        if section is Settings and attribute == "raw":
            continue
        required = position < missing
        default = None if required else defaults[position - missing]
        metadata = getattr(annotation, "__metadata__", None)
        if metadata is not None:
            note: Note = metadata[0]
            yield _leaf(Field(attribute, name, "", default, note, required=required), annotation.__origin__)
        else:
            yield Field(attribute, name, "section", default, section=annotation)


def _leaf(field: Field, kind: object) -> Field:
    if kind in _KINDS:
        return field._replace(kind=_KINDS[kind])
    origin: Any = getattr(kind, "__origin__", None)
    arguments: Any = getattr(kind, "__args__", ())
    if origin is Literal:
        return field._replace(kind="text", choices=arguments)
    if origin is tuple:
        inner = arguments[0]
        return field._replace(kind="texts") if inner is str else field._replace(kind="sections", section=inner)
    if origin is dict:
        inner = arguments[1]
        field = field._replace(default={})
        return field._replace(kind="map") if inner is str else field._replace(kind="users", section=inner)
    present = next(one for one in arguments if one is not type(None))
    return _leaf(field, present)._replace(optional=True)


def keys(section: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[Key]:
    """All keys below a section, arrays of tables and tables of tables as one key each."""
    for field in fields(section):
        name = join(prefix, field.name)
        if field.kind == "section":
            assert field.section is not None
            yield from keys(field.section, name)
        else:
            yield Key(name, field)


def tables(section: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """All sections by name, those that hold nothing but sections too."""
    for field in fields(section):
        if field.section is not None:
            name = join(prefix, field.name)
            yield name, field.section
            yield from tables(field.section, name)


KEYS: dict[str, Field] = dict(keys())
