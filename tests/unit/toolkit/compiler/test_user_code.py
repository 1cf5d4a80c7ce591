"""Users' code: which functions of a Ballerina file do anything, and which Python goes into the plan."""

from __future__ import annotations

import pytest

from microgate.diagnostics import Report
from microgate.toolkit.compiler.user_code import functions_with_effect, read
from microgate.toolkit.openapi.folder import Folder

DISPATCH = """
import wso2/gateway;
public type ExtensionFilter object {
    public function filterResponse(http:Response response, http:FilterContext context) returns boolean {
        var failed = context.attributes[gateway:FILTER_FAILED];
        if (failed is boolean) {
            int statusCode = <int>context.attributes[gateway:HTTP_STATUS_CODE];
            if (statusCode == gateway:UNAUTHORIZED) { setAuthenticationErrorResponse(response, context); }
            return true;
        }
        return true;
    }
};
function setAuthenticationErrorResponse(http:Response response, http:FilterContext context) {
    BODY
}
"""


@pytest.mark.parametrize("body", ["", "// response.statusCode = 401;", "# response.setHeader(1);"])
def test_untouched_stubs_do_nothing(body):
    assert functions_with_effect(DISPATCH.replace("BODY", body)) == []


@pytest.mark.parametrize("body", ["response.statusCode = 401;", "log:printInfo(1);", "context.attributes[1] = 2;"])
def test_a_filled_stub_acts_and_so_does_who_calls_it(body):
    names = [name for name, _ in functions_with_effect(DISPATCH.replace("BODY", body))]
    assert names == ["filterResponse", "setAuthenticationErrorResponse"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("public function startupExtension() {\n\n}", []),
        ("function f(map<string> m) {\n}\n", []),
        ("function f() returns boolean { return false; }", ["f"]),
        ("function f() { check caller->respond(res); }", ["f"]),
        ("function f() { f(); }", []),
        ("function f() { if (true) { while (true) { } } }", []),
        ("function f() { g(); } function g() { f(); h(); } function h() { io:println(1); }", ["f", "g", "h"]),
        ("function f() { ", []),
        ("nothing of the kind", []),
    ],
)
def test_functions(text, names):
    assert [name for name, _ in functions_with_effect(text)] == names


def _read(tmp_path, **files):
    folder = tmp_path / "extensions"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    report = Report()
    return read(Folder(tmp_path), report), report


def test_python_that_does_something_goes_into_the_plan_as_it_stands(tmp_path):
    modules, report = _read(tmp_path, b="def g(): return 1\n", a="x = [1]\n", stub='"""Nothing."""\nimport os\n')
    assert [(module.name, module.source) for module in modules] == [("a", "x = [1]\n"), ("b", "def g(): return 1\n")]
    assert not report.diagnostics


def test_python_that_nothing_would_call_is_refused_by_name(tmp_path):
    modules, report = _read(tmp_path, extension_filter="def filter_request(): ...\n", startup_extension="print(1)\n")
    assert modules == ()
    assert [(found.code, found.message) for found in report.diagnostics] == [
        ("MG110", "not supported yet: the extension filter"),
        ("MG110", "not supported yet: the startup extension"),
    ]


def test_a_broken_module_is_not_packed(tmp_path):
    modules, report = _read(tmp_path, a="def g(:\n")
    assert modules == ()
    assert report.has_errors
