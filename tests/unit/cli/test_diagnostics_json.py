"""Diagnostics for machines: JSON and SARIF that can be read back."""

from __future__ import annotations

import json

from microgate.cli.diagnostics_json import render_json, render_sarif
from microgate.diagnostics import Diagnostic, Severity

FOUND = [
    Diagnostic("MG101", Severity.ERROR, "unknown key", "a dir/ü#1.yaml", 4, 2, "a hint", "x: 1", "/x"),
    Diagnostic("MG500", Severity.WARNING, "no place"),
    Diagnostic("MG101", Severity.NOTE, "", "b.yaml", 3),
]


def test_json_has_every_finding_and_the_counts():
    document = json.loads(render_json(FOUND))
    assert (document["errors"], document["warnings"]) == (1, 1)
    assert document["diagnostics"] == [
        {
            "code": "MG101",
            "severity": "error",
            "message": "unknown key",
            "file": "a dir/ü#1.yaml",
            "line": 4,
            "column": 2,
            "hint": "a hint",
            "source": "x: 1",
            "pointer": "/x",
        },
        {"code": "MG500", "severity": "warning", "message": "no place"},
        {"code": "MG101", "severity": "note", "message": "", "file": "b.yaml", "line": 3},
    ]


def test_sarif_names_rules_once_and_places_as_addresses():
    document = json.loads(render_sarif(FOUND))
    assert document["version"] == "2.1.0"
    run = document["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["MG101", "MG500"]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [finding.code for finding in FOUND]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    first, second, third = run["results"]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "a%20dir/%C3%BC%231.yaml"},
                "region": {"startLine": 4, "startColumn": 2},
            },
            "logicalLocations": [{"fullyQualifiedName": "/x"}],
        }
    ]
    assert "a hint" in first["message"]["text"]
    assert "locations" not in second
    assert third["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 1}


def test_a_file_name_that_is_not_utf_8_becomes_an_escape():
    found = [Diagnostic("MG101", Severity.ERROR, "x", "api_definitions/\udcfe.yaml", 1, 1)]
    assert json.loads(render_json(found))["diagnostics"][0]["file"] == "api_definitions/\\udcfe.yaml"
    assert json.loads(render_sarif(found))["runs"][0]["results"]


def test_nothing_found_is_a_whole_document():
    assert json.loads(render_json([])) == {"diagnostics": [], "errors": 0, "warnings": 0}
    assert json.loads(render_sarif([]))["runs"][0]["results"] == []
