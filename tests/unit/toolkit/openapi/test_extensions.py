"""The table of extensions, and how odd values are read. What goes wrong in a project is shown in tests/compile."""

from __future__ import annotations

import re

import pytest

from harness.sources import ROOT
from microgate.diagnostics import Report
from microgate.toolkit.openapi import extensions
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.document import read

ROW = re.compile(r"^\| `(x-[\w-]+)` \| (yes)? ?\| (yes)? ?\|", re.MULTILINE)


def test_the_page_lists_every_key_at_its_levels():
    page = (ROOT / "docs/extensions.md").read_text(encoding="utf-8")
    listed = {name: (bool(root), bool(operation)) for name, root, operation in ROW.findall(page)}
    known = {
        name: (extensions.ROOT in key.levels, extensions.OPERATION in key.levels)
        for name, key in extensions.KEYS.items()
    }
    assert listed == known


def read_root(tmp_path, text):
    file = tmp_path / "api.yaml"
    file.write_text(text, encoding="utf-8")
    report = Report()
    document = read(file, file.name, report)
    return extensions.read(Cursor(document, document.root), extensions.ROOT, report), report.diagnostics


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("x-microgate-hosts: [A.example, a.EXAMPLE, '*.b.example', '[::1]', localhost]", "hosts",
         ("*.b.example", "[::1]", "a.example", "localhost")),
        ("x-wso2-transports: [HTTPS, https]", "transports", ("https",)),
        ("x-wso2-mutual-ssl: Mandatory", "mutual_ssl", "mandatory"),
        ("x-wso2-auth-header: X-Auth", "auth_header", "X-Auth"),
        ("x-wso2-owner: ''", "owner", ""),
        ("x-wso2-response-cache: {enabled: false}", "response_cache", False),
        ("x-wso2-cors: {accessControlAllowOrigins: ['*'], access_control_allow_credentials: true}", "cors", True),
        ("x-microgate-max-body: 0", "max_body", 0),
        ("x-wso2-disable-security: false", "disable_security", False),
    ],
)  # fmt: skip
def test_values_are_read(tmp_path, text, attribute, value):
    found, diagnostics = read_root(tmp_path, text)
    assert diagnostics == []
    assert getattr(found, attribute).value == value


@pytest.mark.parametrize(
    "text",
    [
        "x-microgate-hosts: []",
        "x-microgate-hosts: [-a.example]",
        "x-microgate-hosts: [a..example]",
        "x-microgate-hosts: ['**.example']",
        f"x-microgate-hosts: [{'a' * 64}.example]",
        "x-wso2-transports: [ws]",
        "x-wso2-auth-header: 'a: b'",
        "x-wso2-basePath: ''",
        'x-wso2-basePath: "a\\nb"',
        "x-microgate-max-body: true",
        "x-microgate-max-body: 1.0e3",
        "x-microgate-max-body: 99999999999999999999",
        "x-wso2-disable-security: 1",
        "x-wso2-response-cache: {enabled: 'yes'}",
        "x-wso2-cors: {accessControlAllowOrigins: '*'}",
        "x-wso2-endpoints: []",
    ],
)
def test_values_are_refused_once(tmp_path, text):
    _, diagnostics = read_root(tmp_path, text)
    assert [finding.code for finding in diagnostics] == ["MG103"]
