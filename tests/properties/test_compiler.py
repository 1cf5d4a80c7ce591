"""Descriptions that nobody would write (R31, R35, R37): whatever comes, the compiler answers with a plan or with errors.

Names, extension values and whole texts are arbitrary; nothing raises, nothing outside the project is read, and what is
reported has a code of the catalogue and a place in a file.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microgate.diagnostics import Report
from microgate.plan.model import decode, encode
from microgate.toolkit.catalogue import CODES
from microgate.toolkit.compiler import compile_description, compile_project
from microgate.toolkit.openapi import json_reader, yaml_reader
from microgate.toolkit.openapi.extensions import KEYS
from microgate.toolkit.openapi.flaw import Flaw
from microgate.toolkit.openapi.tree import Mapping, Sequence

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.text(max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
# Values that get far: what extensions expect, in the wrong places as often as in the right ones.
LIKELY = st.sampled_from(
    [
        "Unlimited",
        "None",
        "/base/{version}",
        "#/x-wso2-endpoints/a",
        "https://a.example",
        "etcd(a,https://a.example)",
        {"urls": ["https://a.example", "http://b.example/x?y=z"], "type": "failover"},
        {"urls": ["unix:/run/a.sock"]},
        [{"a": {"urls": ["https://a.example"]}}],
        ["http", "https"],
        ["*.example.com"],
        {"security-types": ["oauth2"], "optional": True},
        {"connect": 5, "total": 10},
        {"enabled": True},
        "java:a.b.C",
        "mandatory",
        "literal",
        "all",
        "dpop",
        {"allow": ["10.0.0.0/8", "::1"], "deny": ["10.1.2.3/40", "fe80::%1"]},
        {"url": "https://a.example", "send-headers": ["A", "Host"], "cache-by": ["B"], "cache-seconds": 5},
        {"expose-headers": ["X-A"], "max-age": 10},
        {"access-control-allow-origins": ["*", "https://a.example/"], "accessControlAllowCredentials": True},
        {"security-types": ["api_key", "mutual_ssl", "basic_auth"]},
        True,
        1024,
    ]
)
PATHS = st.one_of(
    st.sampled_from(["/a", "/a/{b}", "/{c}/d", "/a/*", "/health", "/a.{x}", "/{x}-{y}", "/x y", "/%41", "/é"]),
    TEXTS.map(lambda text: "/" + text),
    TEXTS,
)
METHODS = st.sampled_from(["get", "put", "post", "delete", "options", "head", "patch", "trace", "query", "GET", "x-a"])
EXTENDED = st.dictionaries(st.sampled_from(sorted(KEYS)), st.one_of(LIKELY, VALUES), max_size=3)
SECURITY = st.one_of(VALUES, st.just([]), st.lists(st.dictionaries(st.sampled_from(["o", "k"]), st.just(["s"]))))
OPERATIONS = st.builds(
    lambda extended, fields: {**fields, **extended},
    EXTENDED,
    st.fixed_dictionaries({}, optional={"operationId": SCALARS, "security": SECURITY, "servers": VALUES}),
)
ITEMS = st.one_of(VALUES, st.dictionaries(METHODS, OPERATIONS, max_size=3))


@st.composite
def descriptions(draw):
    document = {
        draw(st.sampled_from(["openapi", "openapi", "swagger"])): draw(
            st.sampled_from(["3.0.3", "3.1.0", "3.2.0", "2.0", "3", 2.0])
        ),
        "info": draw(st.one_of(st.fixed_dictionaries({"title": TEXTS, "version": SCALARS}), VALUES)),
        "paths": draw(st.one_of(st.dictionaries(PATHS, ITEMS, max_size=4), VALUES)),
        "servers": draw(st.one_of(st.just([{"url": "https://a.example/v1"}]), VALUES)),
    }
    document.update(draw(EXTENDED))
    document.update(
        draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "security": SECURITY,
                    "components": VALUES,
                    "securityDefinitions": st.just(
                        {"o": {"type": "oauth2"}, "k": {"type": "apiKey", "in": "query", "name": "k"}}
                    ),
                    "host": SCALARS,
                    "basePath": SCALARS,
                    "schemes": VALUES,
                },
            )
        )
    )
    return document


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def answer(file):
    """The plan, after a look at what was reported."""
    report = Report()
    plan = compile_description(file, report)
    assert (plan is None) == report.has_errors
    for finding in report.diagnostics:
        assert finding.code in CODES
        assert finding.file == file.name
        assert finding.message == finding.message.strip()
        assert "\n" not in finding.message + finding.hint
    if plan is not None:
        assert decode(encode(plan)) == plan
    return plan


@FEW
@given(descriptions())
def test_any_description_gives_a_plan_or_errors(folder, document):
    file = folder / "api.json"
    file.write_text(json.dumps(document), encoding="utf-8", errors="replace")
    first = answer(file)
    again = folder / "api.yaml"
    again.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8", errors="replace")
    second = answer(again)
    if first is not None and second is not None:
        assert [api.operations for api in first.apis] == [api.operations for api in second.apis]


@FEW
@given(st.one_of(st.binary(max_size=200), TEXTS.map(str.encode)))
def test_any_bytes_give_errors(folder, data):
    for name in ("bytes.yaml", "bytes.json"):
        file = folder / name
        file.write_bytes(data)
        assert answer(file) is None


SEED = (Path(__file__).parents[1] / "compile/wso2_extensions/project/api_definitions/petstore.yaml").read_bytes()
EDITS = st.lists(
    st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 6), st.sampled_from(list(b"{}[]:,'\"&*!|>#-\n\t x0")))
)


@FEW
@given(EDITS)
def test_a_mutated_description_gives_a_plan_or_errors(folder, edits):
    data = bytearray(SEED)
    for index, length, byte in edits:
        data[index : index + length] = bytes([byte])
    file = folder / "mutated.yaml"
    file.write_bytes(data)
    answer(file)


@FEW
@given(st.text(alphabet="/.#~%:@$&*aé {}[]\\\0\x7f", max_size=30))
def test_no_reference_leads_out_of_the_project(folder, address):
    """R37: whatever a reference says, no file outside is read and nothing is fetched."""
    project = folder / "project"
    (project / "api_definitions").mkdir(parents=True, exist_ok=True)
    (folder / "a").write_text("get: {operationId: outside}\n", encoding="utf-8")
    document = {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://a.example/b"}],
        "paths": {"/a": {"get": {}}, "/b": {"$ref": address}, "/c": {"$ref": "../" * 3 + address}},
    }
    (project / "api_definitions/api.json").write_text(json.dumps(document), encoding="utf-8")
    report = Report()
    plan = compile_project(project, report)
    if plan is not None:
        assert "outside" not in {operation.id for operation in plan.apis[0].operations}
        assert [name for name, _ in plan.inputs] == ["api_definitions/api.json"]


def plain(node):
    if isinstance(node, Mapping):
        assert len(node.key_places) == len(node.entries)
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


@FEW
@given(VALUES, st.booleans(), st.one_of(st.none(), st.just("\t"), st.just(1)))
def test_json_is_read_as_python_reads_it(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    try:
        assert plain(json_reader.read(text)) == json.loads(text)
    except Flaw as flaw:
        assert "surrogate" in flaw.message  # noqa: PT017 - the one refusal that is right


@FEW
@given(VALUES)
def test_yaml_is_read_as_it_was_written(value):
    """Quoted and tagged, since PyYAML reads YAML 1.1: to it `0E0` is a text and `on` is true."""
    text = yaml.safe_dump(value, allow_unicode=True, default_style='"')
    try:
        assert plain(yaml_reader.read(text)) == value
    except Flaw as flaw:
        assert flaw.code.id in {"MG002", "MG003"}  # noqa: PT017 - characters that YAML has no form for
