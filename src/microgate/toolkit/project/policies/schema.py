"""The JSON Schema of policies.yaml, for editors, made of the keys that the readers know. What a schema cannot say, a build does.
Only the generator of the documentation calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from microgate import patterns
from microgate.toolkit.project.policies import keys

if TYPE_CHECKING:
    from microgate.toolkit.project.policies.keys import Key

Schema = dict[str, Any]
_TITLES = {
    "policy": "a policy",
    "custom": "a custom policy",
    "burst": "a bucket of tokens",
    "bandwidth": "bytes of bodies in each window",
    "group": "requests with an allowance of their own",
    "when": "conditions, all of which hold",
    "block": "callers that are shut out",
}


def render() -> str:
    """The schema as text."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode()


def schema() -> Schema:
    lists: Schema = {
        name: _named_list("custom" if level == "custom" else "policy", keys.most(level))
        for name, level in keys.LEVELS.items()
    }
    lists[keys.BLOCKS] = _or_null({"type": "array", "maxItems": keys.MAX_BLOCKS, "items": _reference("block")})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "policies.yaml of microgate",
        "type": ["object", "null"],
        "properties": lists,
        "additionalProperties": False,
        "$defs": {shape: _shape(shape) for shape in keys.SHAPES},
    }


def _reference(shape: str) -> Schema:
    return {"$ref": f"#/$defs/{shape}"}


def _or_null(found: Schema) -> Schema:
    return found | {"type": [found["type"], "null"]}


def _named_list(shape: str, most: int) -> Schema:
    """Mappings with one key, the name."""
    item = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": {"minLength": 1, "maxLength": keys.MAX_NAME, "not": {"const": keys.UNLIMITED}},
        "additionalProperties": _reference(shape),
    }
    return _or_null({"type": "array", "maxItems": most, "items": item})


def _shape(shape: str) -> Schema:
    declared = keys.SHAPES[shape]
    found: Schema = {
        "title": _TITLES[shape],
        "type": "object",
        "properties": {key.name: {"description": key.sentence} | _KINDS[key.kind](key) for key in declared},
        "additionalProperties": False,
    }
    needed = [key.name for key in declared if key.needed]
    if needed:
        found["required"] = needed
    return found


def _integer(key: Key) -> Schema:
    return {"type": "integer", "minimum": key.low, "maximum": key.high}


def _words(key: Key) -> Schema:
    """The words, which editors offer, and each of them in another case."""
    words = [*key.words, *(other for other in keys.OTHER_UNITS if key.kind == "unit")]
    cases = "|".join("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in words)
    return {"anyOf": [{"enum": list(key.words)}, {"type": "string", "pattern": f"^(?:{cases})$"}]}


def _bytes(key: Key) -> Schema:
    return {"anyOf": [_integer(key), {"type": "string", "pattern": "^[0-9]{1,15} ?(?:B|[kKMGT]i?B)$"}]}


def _patterns(_key: Key) -> Schema:
    pattern = {"type": "string", "minLength": 1, "maxLength": patterns.MAX_PATTERN_BYTES}
    return {"type": "object", "additionalProperties": pattern}


def _networks(_key: Key) -> Schema:
    one = {"type": "string", "pattern": "^[0-9A-Fa-f.:/ -]+$"}
    return {"anyOf": [one, {"type": "array", "minItems": 1, "maxItems": keys.MAX_NETWORKS, "items": one}]}


def _when(_key: Key) -> Schema:
    one = _reference("when")
    return {"anyOf": [one, {"type": "array", "minItems": 1, "maxItems": keys.MAX_CONDITIONS, "items": one}]}


def _weights(key: Key) -> Schema:
    statuses = {"^[2-5](?:[0-9]{2}|[xX]{2})$": _integer(key)}
    return {"type": "object", "patternProperties": statuses, "additionalProperties": False}


_KINDS = {
    "integer": _integer,
    "unit": _words,
    "choice": _words,
    "boolean": lambda _key: {"type": "boolean"},
    "text": lambda _key: {"type": "string", "minLength": 1},
    "template": lambda _key: {"type": "string", "minLength": 1, "maxLength": keys.MAX_TEMPLATE},
    "bytes": _bytes,
    "mapping": lambda key: _reference(key.shape),
    "integer or mapping": lambda key: {"anyOf": [_integer(key), _reference(key.shape)]},
    "groups": lambda key: _named_list(key.shape, keys.MAX_GROUPS) | {"type": "array", "minItems": 1},
    "when": _when,
    "patterns": _patterns,
    "networks": _networks,
    "weights": _weights,
}
