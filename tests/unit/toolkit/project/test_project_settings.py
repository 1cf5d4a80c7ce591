"""microgate.yaml: absent, empty, odd, and out of place. What it changes in a plan is shown in tests/compile."""

from __future__ import annotations

import pytest

from microgate.diagnostics import Report
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project import project_settings
from microgate.toolkit.project.stubs import STUBS


def read(folder, text=None):
    if text is not None:
        (folder / "microgate.yaml").write_text(text, encoding="utf-8")
    report = Report()
    return project_settings.read(Folder(folder), report), [found.code for found in report.diagnostics]


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "{}", "null", "security:\n", STUBS["microgate.yaml"]])
def test_a_project_that_says_nothing_reads_security_as_3_x_did(tmp_path, text):
    settings, codes = read(tmp_path, text)
    assert (settings.reading, codes) == ("wso2", [])


@pytest.mark.parametrize(("text", "reading"), [("security: literal", "literal"), ("security: WSO2", "wso2")])
def test_readings(tmp_path, text, reading):
    settings, codes = read(tmp_path, text)
    assert (settings.reading, codes) == (reading, [])


def test_what_the_stub_shows_is_what_holds_without_it(tmp_path):
    settings, codes = read(tmp_path, STUBS["microgate.yaml"].replace("# security:", "security:"))
    assert (settings, codes) == (project_settings.ProjectSettings(), [])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("security: strict", ["MG174"]),
        ("security: true", ["MG174"]),
        ("security: [literal]", ["MG174"]),
        ("securty: literal", ["MG174"]),
        ("literal", ["MG174"]),
        ("security: literal\nsecurity: wso2", ["MG005"]),
        ("security: [", ["MG003"]),
    ],
)
def test_mistakes_are_errors(tmp_path, text, codes):
    assert read(tmp_path, text)[1] == codes


@pytest.mark.parametrize("name", project_settings.NEARLY)
def test_a_file_of_nearly_the_right_name_is_not_passed_over(tmp_path, name):
    (tmp_path / name).write_text("security: literal", encoding="utf-8")
    assert read(tmp_path)[1] == ["MG174"]


def test_a_link_is_not_followed_out_of_the_project(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "outside.yaml").write_text("security: literal", encoding="utf-8")
    (project / "microgate.yaml").symlink_to(tmp_path / "outside.yaml")
    assert read(project)[1] == ["MG030"]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")])
def test_what_cannot_be_read_is_an_error(tmp_path, make):
    make(tmp_path / "microgate.yaml")
    assert read(tmp_path)[1] == ["MG001"]
