"""Compiling real folders: links, odd files, other working directories. What projects say is in tests/compile."""

from __future__ import annotations

import gc
import os

import pytest

from microgate.diagnostics import Report
from microgate.plan.model import encode
from microgate.toolkit.compiler import compile_description, compile_project

API = """\
openapi: 3.0.3
info: {title: Shop, version: "1"}
servers: [{url: "https://shop.example/v1"}]
paths:
  /items: {get: {}}
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "shop"
    (folder / "api_definitions").mkdir(parents=True)
    (folder / "api_definitions/shop.yaml").write_text(API, encoding="utf-8")
    return folder


def codes(report):
    return [finding.code for finding in report.diagnostics]


@pytest.mark.parametrize("target", ["missing.yaml", "link.yaml", "../parts/missing.yaml", "/nowhere/missing.yaml"])
def test_a_description_that_is_a_link_to_nowhere_is_missed(project, target):
    (project / "api_definitions/link.yaml").symlink_to(target)
    report = Report()
    assert compile_project(project, report) is None
    assert [(found.code, found.file) for found in report.diagnostics] == [("MG001", "api_definitions/link.yaml")]


def test_a_link_out_of_the_project_is_not_followed(project, tmp_path):
    outside = tmp_path / "outside.yaml"
    outside.write_text(API.replace("Shop", "Outside"), encoding="utf-8")
    (project / "api_definitions/link.yaml").symlink_to(outside)
    report = Report()
    assert compile_project(project, report) is None
    assert [(f.code, f.file) for f in report.diagnostics] == [("MG030", "api_definitions/link.yaml")]


def test_a_reference_through_a_link_out_of_the_project_is_not_followed(project, tmp_path):
    (tmp_path / "secret.yaml").write_text("get: {operationId: secret}\n", encoding="utf-8")
    (project / "parts").symlink_to(tmp_path)
    text = API + '  /b: {$ref: "../parts/secret.yaml"}\n'
    (project / "api_definitions/shop.yaml").write_text(text, encoding="utf-8")
    report = Report()
    assert compile_project(project, report) is None
    assert codes(report) == ["MG030"]


def test_a_link_inside_the_project_is_followed(project):
    (project / "parts").mkdir()
    (project / "parts/item.yaml").write_text("get: {operationId: inside}\n", encoding="utf-8")
    (project / "api_definitions/link.txt").symlink_to(project / "parts/item.yaml")
    text = API + "  /b: {$ref: link.txt}\n"
    (project / "api_definitions/shop.yaml").write_text(text, encoding="utf-8")
    plan = compile_project(project, Report())
    assert [operation.id for operation in plan.apis[0].operations] == ["GET /items", "inside"]


def test_a_project_may_be_reached_through_a_link_and_from_elsewhere(project, tmp_path, monkeypatch):
    (tmp_path / "alias").symlink_to(project)
    plan = compile_project(project, Report())
    assert encode(compile_project(tmp_path / "alias", Report())) == encode(plan)
    monkeypatch.chdir(project / "api_definitions")
    relative = compile_project(type(project)(".."), Report())
    assert encode(relative) == encode(plan)


def test_odd_entries_are_passed_over(project):
    (project / "api_definitions/folder.yaml").mkdir()
    os.mkfifo(project / "api_definitions/pipe.yaml")
    (project / "api_definitions/.hidden.yaml").write_text("not: openapi\n", encoding="utf-8")
    (project / "api_definitions/notes.txt").write_text("not openapi\n", encoding="utf-8")
    (project / "api_definitions/SHOUT.JSON").write_text(
        '{"openapi": "3.1.0", "info": {"title": "S", "version": "1"}, "servers": [{"url": "http://s.example/s"}],'
        ' "paths": {"/a": {"get": {}}}}',
        encoding="utf-8",
    )
    plan = compile_project(project, Report())
    assert [api.file for api in plan.apis] == ["api_definitions/SHOUT.JSON", "api_definitions/shop.yaml"]


@pytest.mark.parametrize("name", ["nothing", "shop/api_definitions/shop.yaml"])
def test_what_is_no_project_is_reported(project, tmp_path, name):
    report = Report()
    assert compile_project(tmp_path / name, report) is None
    assert codes(report) == ["MG170"]


def test_a_description_that_is_not_there_is_reported(tmp_path):
    report = Report()
    assert compile_description(tmp_path / "nothing.yaml", report) is None
    assert codes(report) == ["MG001"]


def test_a_bare_description_needs_no_project(tmp_path):
    file = tmp_path / "my shop.yaml"
    file.write_text(API, encoding="utf-8")
    plan = compile_description(file, Report())
    assert plan.project == "my shop"
    assert plan.apis[0].file == "my shop.yaml"
    assert [name for name, _ in plan.inputs] == ["my shop.yaml"]


def test_findings_of_others_stay_where_they_are(project):
    report = Report()
    compile_description(project / "nothing.yaml", report)
    compile_description(project / "another.yaml", report)
    assert [finding.file for finding in report.diagnostics] == ["nothing.yaml", "another.yaml"]


def test_the_collector_runs_again_afterwards(project):
    assert gc.isenabled()
    compile_project(project, Report())
    assert gc.isenabled()
