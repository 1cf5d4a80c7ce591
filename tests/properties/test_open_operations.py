"""R11: whatever a document says about security, and in whatever combination, no operation is open that its project did not open.

What "opened" means is written down here a second time, in the words of the documents, and compared with the plan.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.diagnostics import Report
from microgate.toolkit.compiler import compile_project

MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCHEMES = {
    "oauth": {"type": "oauth2", "flows": {}},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "digest": {"type": "http", "scheme": "digest"},
    "key": {"type": "apiKey", "in": "query", "name": "k"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "c"},
    "tls": {"type": "mutualTLS"},
}
ABSENT = None
REQUIREMENTS = [ABSENT, [], [{}], [{"oauth": ["a"]}], [{}, {"basic": []}], [{"digest": []}], [{"key": [], "tls": []}]]
APPLICATIONS = [ABSENT, {"optional": False}, {"security-types": ["api_key"]}]
FORWARD = {"url": "https://decide.example"}
DISABLED = [ABSENT, False, True]
AUTH_TYPES = [ABSENT, "None", "Any"]
READINGS = [ABSENT, "wso2", "literal"]

ANY_REQUIREMENTS = st.one_of(
    st.sampled_from(REQUIREMENTS),
    st.lists(st.dictionaries(st.sampled_from(sorted(SCHEMES)), st.just([]), max_size=3), max_size=3),
)
LEVELS = {
    "security": ANY_REQUIREMENTS,
    "x-wso2-disable-security": st.sampled_from(DISABLED),
    "x-wso2-application-security": st.sampled_from([*APPLICATIONS, {"security-types": ["mutual_ssl", "jwt"]}]),
    "x-microgate-forward-auth": st.sampled_from([ABSENT, ABSENT, FORWARD]),
    "x-microgate-scopes": st.sampled_from([ABSENT, "any", "all"]),
    "x-microgate-bound-tokens": st.sampled_from([ABSENT, ABSENT, "any", "dpop"]),
}
ROOTS = st.fixed_dictionaries(
    {
        **LEVELS,
        "x-microgate-security": st.sampled_from(READINGS),
        "x-wso2-mutual-ssl": st.sampled_from([ABSENT, "optional", "mandatory"]),
        "x-wso2-transports": st.sampled_from([ABSENT, ["https"], ["http"]]),
    }
)
OPERATIONS = st.fixed_dictionaries({**LEVELS, "x-auth-type": st.sampled_from(AUTH_TYPES), "x-scope": st.just(ABSENT)})


def without_absent(fields):
    return {key: value for key, value in fields.items() if value is not ABSENT}


def document(root, operations):
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "https://shop.example/shop"}],
        **without_absent(root),
        "paths": {f"/{index}": {"get": without_absent(fields)} for index, fields in enumerate(operations)},
        "components": {"securitySchemes": SCHEMES},
    }


def compiled(folder, described, project_reading):
    definitions = folder / "api_definitions"
    definitions.mkdir(exist_ok=True)
    (definitions / "shop.json").write_text(json.dumps(described), encoding="utf-8")
    text = "" if project_reading is ABSENT else f"security: {project_reading}\n"
    (folder / "microgate.yaml").write_text(text, encoding="utf-8")
    report = Report()
    return compile_project(folder, report), report


def may_be_open(root, operation, project_reading):
    """Whether callers without a credential may get in, by the words of docs/extensions.md."""
    disabled = operation["x-wso2-disable-security"]
    if disabled is ABSENT:
        disabled = root.get("x-wso2-disable-security")
    if disabled is not ABSENT:
        return disabled
    if operation.get("x-auth-type") == "None":
        return True
    reading = root.get("x-microgate-security") or project_reading or "wso2"
    required = operation["security"] if operation["security"] is not ABSENT else root.get("security")
    return reading == "literal" and required is not ABSENT and (not required or {} in required)


def check(plan, report, root, operations, project_reading):
    listed = [found.message.split("`")[1] for found in report.diagnostics if found.code == "MG124"]
    for index, fields in enumerate(operations):
        operation = plan.apis[0].operations[index]
        assert operation.path == f"/{index}"
        security = operation.security
        is_open = bool(security.opened_by) or () in security.alternatives
        # Named types take the place of `security`, so `{}` in it may have lost its effect.
        if is_open:
            assert may_be_open(root, fields, project_reading)
        assert (f"GET /{index}" in listed) == is_open
        if not security.opened_by:
            assert security.schemes
            assert all(member.kind for members in security.alternatives for member in members)
            assert ("forward" in security.schemes) == (operation.forward_auth is not None)
            if security.optional:
                assert plan.apis[0].mutual_tls == "mandatory"
        if plan.apis[0].mutual_tls == "mandatory":
            assert plan.apis[0].transports == ("https",)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize(
    ("root_reading", "project_reading"),
    [*((reading, ABSENT) for reading in READINGS), ("wso2", "literal"), (ABSENT, "literal")],
)
def test_r11_no_combination_opens_an_operation_in_silence(folder, root_reading, project_reading):
    """Every combination of what the root and an operation may say; all operations of a root in one document."""
    built = 0
    for security, disabled, mutual in itertools.product(REQUIREMENTS, DISABLED, [ABSENT, "mandatory"]):
        root = {
            "security": security,
            "x-wso2-disable-security": disabled,
            "x-wso2-mutual-ssl": mutual,
            "x-microgate-security": root_reading,
        }
        operations = [
            {
                "security": own,
                "x-wso2-disable-security": own_disabled,
                "x-auth-type": auth_type,
                "x-wso2-application-security": application,
            }
            for own, own_disabled, auth_type, application in itertools.product(
                REQUIREMENTS, DISABLED, AUTH_TYPES, APPLICATIONS
            )
        ]
        # Combinations that are errors are taken out, so that the others are seen.
        plan, report = compiled(folder, document(root, operations), project_reading)
        if plan is None:
            broken = {found.pointer.split("/")[2][2:] for found in report.diagnostics if found.pointer.startswith("/paths")
                      and found.severity.value == "error"}  # fmt: skip
            operations = [fields for index, fields in enumerate(operations) if str(index) not in broken]
            plan, report = compiled(folder, document(root, operations), project_reading)
        if plan is not None:
            built += 1
            check(plan, report, root, operations, project_reading)
    assert built >= 6


@MANY
@given(ROOTS, st.lists(OPERATIONS, min_size=1, max_size=4), st.sampled_from(READINGS))
def test_r11_no_document_opens_an_operation_in_silence(folder, root, operations, project_reading):
    plan, report = compiled(folder, document(root, operations), project_reading)
    assert (plan is None) == report.has_errors
    if plan is not None:
        check(plan, report, root, operations, project_reading)
