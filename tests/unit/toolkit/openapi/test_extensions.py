"""The table of extensions, and how odd values are read. What goes wrong in a project is shown in tests/compile."""

from __future__ import annotations

import re

import pytest

from harness.sources import ROOT
from microgate.diagnostics import Report
from microgate.plan.model import ForwardAuth, IpRules
from microgate.toolkit.openapi import extensions
from microgate.toolkit.openapi.cors import CorsAdditions, CorsRules
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
        ("x-wso2-cors: {accessControlAllowOrigins: [HTTPS://A.example], access_control_allow_credentials: true}", "cors",
         CorsRules(origins=("https://a.example",), credentials=True)),
        ("x-wso2-cors: {access-control-allow-methods: [get, '*'], accessControlAllowHeaders: []}", "cors",
         CorsRules(methods=("GET", "*"), headers=())),
        ("x-wso2-cors: {}", "cors", CorsRules()),
        ("x-microgate-cors: {expose-headers: [X-A, X-A], max-age: 0}", "cors_additions", CorsAdditions(("X-A",), 0)),
        ("x-microgate-security: LITERAL", "reading", "literal"),
        ("x-microgate-scopes: all", "all_scopes", True),
        ("x-microgate-scopes: any", "all_scopes", False),
        ("x-microgate-bound-tokens: dpop", "bound_tokens", "dpop"),
        ("x-microgate-ip: {allow: [10.0.0.0/8, 192.0.2.7, '2001:DB8::/32'], deny: ['::1/128']}", "ip",
         IpRules(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"), ("::1",))),
        ("x-microgate-forward-auth: {url: 'https://a.example/x?y'}", "forward_auth", ForwardAuth("https://a.example/x?y")),
        (("x-microgate-forward-auth: {url: 'http://a.example', timeout-ms: 5, send-headers: [Cookie, cookie],"
         " take-headers: [X-User], cache-by: [COOKIE], cache-seconds: 3}"), "forward_auth",
         ForwardAuth("http://a.example", 5, ("cookie",), ("x-user",), ("cookie",), 3)),
        ("x-microgate-max-body: 0", "max_body", 0),
        ("x-microgate-max-in-flight: 20", "max_in_flight", 20),
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
        "x-microgate-max-in-flight: -1",
        "x-microgate-max-in-flight: many",
        "x-microgate-max-body: 1.0e3",
        "x-microgate-max-body: 99999999999999999999",
        "x-wso2-disable-security: 1",
        "x-wso2-response-cache: {enabled: 'yes'}",
        "x-wso2-cors: {accessControlAllowOrigins: '*'}",
        "x-wso2-endpoints: []",
        "x-wso2-cors: {access-control-allow-origins: ['https://a.example/']}",
        "x-wso2-cors: {access-control-allow-origins: [a.example]}",
        "x-wso2-cors: {access-control-allow-methods: ['GE T']}",
        "x-wso2-cors: {access-control-allow-headers: ['X A']}",
        "x-wso2-cors: {access-control-allow-origins: ['*'], accessControlAllowOrigins: ['*']}",
        "x-wso2-cors: {access-control-allow-credentials: 'true'}",
        "x-microgate-cors: {}",
        "x-microgate-cors: {max-age: -1}",
        "x-microgate-cors: {max-age: 99999999999}",
        "x-microgate-security: strict",
        "x-microgate-scopes: both",
        "x-microgate-bound-tokens: mtls",
        "x-microgate-ip: {}",
        "x-microgate-ip: [10.0.0.0/8]",
        "x-microgate-ip: {allow: []}",
        "x-microgate-ip: {deny: [10.0.0.1/8]}",
        "x-microgate-ip: {deny: [a.example]}",
        "x-microgate-ip: {deny: [1]}",
        "x-microgate-ip: {deny: ['fe80::1%eth0']}",
        "x-microgate-ip: {deny: ['010.0.0.1']}",
        "x-microgate-ip: {deny: ['1.2.3.4/255.0.0.0']}",
        "x-microgate-ip: {allow: ['10.0.0.0/33']}",
        "x-microgate-forward-auth: {}",
        "x-microgate-forward-auth: https://a.example",
        "x-microgate-forward-auth: {url: 'unix:/run/a.sock'}",
        "x-microgate-forward-auth: {url: 'https://a.example', timeout-ms: 0}",
        "x-microgate-forward-auth: {url: 'https://a.example', timeout-ms: 99999999}",
        "x-microgate-forward-auth: {url: 'https://a.example', send-headers: [Host]}",
        "x-microgate-forward-auth: {url: 'https://a.example', take-headers: [Transfer-Encoding]}",
        "x-microgate-forward-auth: {url: 'https://a.example', take-headers: ['a:b']}",
    ],
)
def test_values_are_refused_once(tmp_path, text):
    _, diagnostics = read_root(tmp_path, text)
    assert [finding.code for finding in diagnostics] == ["MG103"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("cache-seconds: 5", "without `cache-by` the verdict on one caller would be used for all others"),
        ("cache-by: [X-A], send-headers: [X-A]", "`cache-by` has no effect without `cache-seconds`"),
        ("cache-by: [X-A], cache-seconds: 5", "verdicts are cached by `x-a`, which the service does not see"),
        ("cache-by: [X-A], cache-seconds: 5, send-headers: [X-A, Authorization]",
         "the service sees `authorization`, so a cached verdict would pass from one caller to another"),
    ],
)  # fmt: skip
def test_verdicts_of_a_service_pass_from_no_caller_to_another(tmp_path, fields, message):
    text = f"x-microgate-forward-auth: {{url: 'https://a.example', {fields}}}"
    _, diagnostics = read_root(tmp_path, text)
    assert [(finding.code, finding.message) for finding in diagnostics] == [("MG128", message)]


def test_a_secret_in_the_address_of_a_service_is_not_shown(tmp_path):
    _, diagnostics = read_root(tmp_path, "x-microgate-forward-auth: {url: 'https://u:hidden@a.example'}")
    assert [finding.code for finding in diagnostics] == ["MG125"]
    assert "hidden" not in str(diagnostics)


def test_cors_cannot_be_off_in_its_own_block(tmp_path):
    found, diagnostics = read_root(tmp_path, "x-wso2-cors: {corsConfigurationEnabled: false}")
    assert [finding.code for finding in diagnostics] == ["MG106"]
    assert found.cors.value == CorsRules()
