"""The JSON Schema of policies.yaml says what the readers say, as far as a schema can: files that build are valid by it, and what
the readers refuse for a key, a word, a bound or a kind is not.
"""

from __future__ import annotations

import json

import pytest
import yaml

from harness.json_schemas import Schema
from harness.sources import ROOT
from microgate.diagnostics import Report
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project.policies import file
from microgate.toolkit.project.policies.schema import schema
from microgate.toolkit.project.stubs import STUBS

SCHEMA = Schema(schema())
POLICY = "{count: 5, unitTime: 1, timeUnit: min%s}"


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
    assert SCHEMA.allows(texts(text))


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
                "conditions: []",
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
    assert not SCHEMA.allows(texts(text))
