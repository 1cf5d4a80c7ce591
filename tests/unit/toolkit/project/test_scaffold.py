"""Making a project folder: whole or not at all, and never at the cost of something else."""

from __future__ import annotations

import tomllib

import pytest

from microgate.errors import ProjectError, UsageError
from microgate.toolkit.project import layout
from microgate.toolkit.project.scaffold import initialise
from microgate.toolkit.project.stubs import STUBS

YAML = b"openapi: 3.0.0\n"


def _names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_folder_of_before_with_python_in_it(tmp_path):
    initialise(tmp_path / "p", [("a.yaml", YAML)])
    assert _names(tmp_path / "p") == sorted([*STUBS, "api_definitions/a.yaml"])
    assert layout.is_project(tmp_path / "p")
    assert tomllib.loads((tmp_path / "p" / layout.DEPLOYMENT).read_text()) == {}
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_a_file_of_the_project_that_is_replaced_can_be_its_own_source(tmp_path):
    initialise(tmp_path / "p", [("a.yaml", YAML)])
    initialise(tmp_path / "p", [("b.yaml", YAML)], force=True)
    assert [path.name for path in (tmp_path / "p" / "api_definitions").glob("*.yaml")] == ["b.yaml"]
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_a_failure_leaves_the_old_project(tmp_path):
    initialise(tmp_path / "p", [("a.yaml", YAML)])
    before = _names(tmp_path / "p")
    with pytest.raises(ProjectError, match="two API definitions"):
        initialise(tmp_path / "p", [("b.yaml", YAML), ("b.yaml", YAML)], force=True)
    with pytest.raises(ProjectError, match="cannot be read"):
        initialise(tmp_path / "p", [], tmp_path / "missing.toml", force=True)
    assert _names(tmp_path / "p") == before
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_but_a_project_is_ever_deleted(tmp_path, force):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("thesis")
    for name in ("thesis", "file", "link"):
        with pytest.raises(ProjectError):
            initialise(tmp_path / name, [], force=force)
    assert _names(tmp_path) == ["file", "link/chapter", "thesis/chapter"] or _names(tmp_path) == [
        "file",
        "thesis/chapter",
    ]


@pytest.mark.parametrize("name", ["", "..", "a\nb", "x" * 300])
def test_names_that_no_project_can_have(tmp_path, name):
    with pytest.raises(UsageError):
        initialise(tmp_path / name / ".." if name == ".." else tmp_path.__class__(name), [])


@pytest.mark.parametrize("name", ["with blanks", "quotes'\"", "ünï", "1", "-f", ".hidden", "a.b"])
def test_names_that_a_project_can_have(tmp_path, name):
    initialise(tmp_path / name, [("a.yaml", YAML)])
    assert layout.artefact_file(tmp_path / name) == tmp_path / name / "target" / name
