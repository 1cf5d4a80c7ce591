"""Which functions of a Ballerina file do anything."""

from __future__ import annotations

import pytest

from microgate.toolkit.compiler.user_code import functions_with_effect

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
