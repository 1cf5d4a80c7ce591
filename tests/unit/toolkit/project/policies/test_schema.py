"""The JSON Schema of policies.yaml says what the readers say, as far as a schema can: files that build are valid by it, and what
the readers refuse for a key, a word, a bound or a kind is not.
"""

from __future__ import annotations

import json
import re

import pytest
import yaml

from harness.sources import ROOT
from microgate.diagnostics import Report
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project.policies import file
from microgate.toolkit.project.policies.schema import schema
from microgate.toolkit.project.stubs import STUBS

SCHEMA = schema()
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
POLICY = "{count: 5, unitTime: 1, timeUnit: min%s}"


def valid(value, wanted=SCHEMA):
    """As JSON Schema 2020-12 has it, for the words that ours uses; any other would be a KeyError."""
    return all(CHECKS[word](value, argument, wanted) for word, argument in wanted.items())


def _type(value, names, _wanted):
    names = [names] if isinstance(names, str) else names
    return any(isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool)) for name in names)


def _properties(value, properties, wanted):
    if not isinstance(value, dict):
        return True
    for key, member in value.items():
        told = [properties[key]] if key in properties else []
        told += [one for form, one in wanted.get("patternProperties", {}).items() if re.search(form, key)]
        rest = wanted.get("additionalProperties", True)
        if not told and rest is False:
            return False
        if not all(valid(member, one) for one in told or ([rest] if isinstance(rest, dict) else [])):
            return False
    return True


CHECKS = {
    "type": _type,
    "enum": lambda value, words, _: value in words,
    "const": lambda value, word, _: value == word,
    "pattern": lambda value, form, _: not isinstance(value, str) or re.search(form, value) is not None,
    "minimum": lambda value, low, _: not isinstance(value, int) or value >= low,
    "maximum": lambda value, high, _: not isinstance(value, int) or value <= high,
    "minLength": lambda value, least, _: not isinstance(value, str) or len(value) >= least,
    "maxLength": lambda value, most, _: not isinstance(value, str) or len(value) <= most,
    "minItems": lambda value, least, _: not isinstance(value, list) or len(value) >= least,
    "maxItems": lambda value, most, _: not isinstance(value, list) or len(value) <= most,
    "minProperties": lambda value, least, _: not isinstance(value, dict) or len(value) >= least,
    "maxProperties": lambda value, most, _: not isinstance(value, dict) or len(value) <= most,
    "required": lambda value, names, _: not isinstance(value, dict) or set(names) <= set(value),
    "items": lambda value, one, _: not isinstance(value, list) or all(valid(item, one) for item in value),
    "propertyNames": lambda value, one, _: not isinstance(value, dict) or all(valid(key, one) for key in value),
    "not": lambda value, one, _: not valid(value, one),
    "anyOf": lambda value, many, _: any(valid(value, one) for one in many),
    "properties": _properties,
    "patternProperties": lambda value, _, wanted: _properties(value, wanted.get("properties", {}), wanted),
    "additionalProperties": lambda value, _, wanted: _properties(value, wanted.get("properties", {}), wanted),
    "$ref": lambda value, name, _: valid(value, SCHEMA["$defs"][name.removeprefix("#/$defs/")]),
    **dict.fromkeys(("$schema", "title", "description", "$defs"), lambda *_: True),
}


def refused(folder, text):
    (folder / "policies.yaml").write_text(text, encoding="utf-8")
    report = Report()
    file.read(Folder(folder), report)
    return report.has_errors


def texts(text):
    """As JSON: keys are texts, as a description's are."""
    return json.loads(json.dumps(yaml.safe_load(text)))


def _files():
    yield pytest.param(STUBS["policies.yaml"], id="stub")
    for path in sorted((ROOT / "tests/compile").glob("*/project/policies.yaml")):
        if "broken" not in path.parts[-3]:
            yield pytest.param(path.read_text(encoding="utf-8"), id=path.parts[-3])


@pytest.mark.parametrize("text", list(_files()))
def test_files_that_build_are_valid(text, tmp_path):
    assert not refused(tmp_path, text)
    assert valid(texts(text))


@pytest.mark.parametrize(
    "text",
    [
        "resorcePolicies: []",
        "resourcePolicies: {A: 1}",
        "resourcePolicies: [{A: 1}]",
        "resourcePolicies: [{}]",
        "resourcePolicies: [{Unlimited: " + POLICY % "" + "}]",
        "resourcePolicies: [{A: " + POLICY % ", keyTemplate: $userId" + "}]",
        "customPolicies: [{A: " + POLICY % "" + "}]",
        *(
            "resourcePolicies: [{A: " + POLICY % f", {more}" + "}]"
            for more in (
                "windw: sliding",
                "window: rolling",
                "store: redis",
                "shadow: 1",
                "burst: 0",
                "burst: {count: 5, unitTime: 1, timeUnit: sec}",
                "concurrency: 0",
                "concurrency: true",
                "bandwidth: {bytes: 9XB}",
                "bandwidth: {bytes: 0}",
                "bandwidth: {direction: in}",
                "weights: {6xx: 0}",
                "weights: {404: -1}",
                "conditions: [{a: {count: 5}}]",
                "conditions: [{a: {when: [], count: 5}}]",
                "conditions: [{a: {when: {header: {A: 5}}, count: 5}}]",
                "conditions: [{a: {when: {address: here}, count: 5}}]",
                "conditions: [{a: {when: {host: {A: b}}, count: 5}}]",
            )
        ),
        "resourcePolicies: [{A: {count: 0, unitTime: 1, timeUnit: min}}]",
        "resourcePolicies: [{A: {count: 2147483648, unitTime: 1, timeUnit: min}}]",
        "resourcePolicies: [{A: {count: 5, unitTime: 0, timeUnit: min}}]",
        "resourcePolicies: [{A: {count: 5, unitTime: 1, timeUnit: minute}}]",
        "blockingConditions: [{ip: 10.0.0.1}]",
        "blockingConditions: [mallory]",
    ],
)
def test_what_the_readers_refuse_is_not_valid(text, tmp_path):
    assert refused(tmp_path, text)
    assert not valid(texts(text))
