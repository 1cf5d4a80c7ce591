"""JSON Schema 2020-12, as far as the schemas that we publish use it; any other word in one is a KeyError."""

from __future__ import annotations

import re
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}


class Schema:
    """A schema with what its references name."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def allows(self, value: Any, wanted: dict[str, Any] | None = None) -> bool:
        """Whether a value, as JSON has it, is valid."""
        wanted = self.root if wanted is None else wanted
        return all(self._holds(word, argument, value, wanted) for word, argument in wanted.items())

    def _holds(self, word: str, argument: Any, value: Any, wanted: dict[str, Any]) -> bool:
        if word in ("$schema", "title", "description", "$defs"):
            return True
        if word == "$ref":
            return self.allows(value, self.root["$defs"][argument.removeprefix("#/$defs/")])
        if word == "anyOf":
            return any(self.allows(value, one) for one in argument)
        if word == "not":
            return not self.allows(value, argument)
        if word in ("properties", "patternProperties", "additionalProperties"):
            return not isinstance(value, dict) or all(self._allows_member(*one, wanted) for one in value.items())
        if word == "items":
            return not isinstance(value, list) or all(self.allows(item, argument) for item in value)
        if word == "propertyNames":
            return not isinstance(value, dict) or all(self.allows(key, argument) for key in value)
        return PLAIN[word](value, argument)

    def _allows_member(self, key: str, member: Any, wanted: dict[str, Any]) -> bool:
        properties, patterns = wanted.get("properties", {}), wanted.get("patternProperties", {})
        told = [properties[key]] if key in properties else []
        told += [one for form, one in patterns.items() if re.search(form, key)]
        rest = wanted.get("additionalProperties", True)
        if not told:
            return rest if isinstance(rest, bool) else self.allows(member, rest)
        return all(self.allows(member, one) for one in told)


def _type(value: Any, names: str | list[str]) -> bool:
    names = [names] if isinstance(names, str) else names
    return any(isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool)) for name in names)


def _sized(kind: type | tuple[type, ...], bound: Any) -> Any:
    return lambda value, argument: not isinstance(value, kind) or bound(value, argument)


PLAIN = {
    "type": _type,
    "enum": lambda value, words: value in words,
    "const": lambda value, word: value == word,
    "pattern": _sized(str, lambda text, form: re.search(form, text) is not None),
    "minimum": _sized(int, lambda number, low: number >= low),
    "maximum": _sized(int, lambda number, high: number <= high),
    "minLength": _sized(str, lambda text, least: len(text) >= least),
    "maxLength": _sized(str, lambda text, most: len(text) <= most),
    "minItems": _sized(list, lambda items, least: len(items) >= least),
    "maxItems": _sized(list, lambda items, most: len(items) <= most),
    "minProperties": _sized(dict, lambda mapping, least: len(mapping) >= least),
    "maxProperties": _sized(dict, lambda mapping, most: len(mapping) <= most),
    "required": _sized(dict, lambda mapping, names: set(names) <= set(mapping)),
}
