"""What counts as a change of a project: contents of any depth, once they hold still; nothing that a build writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from microgate.runtime.watched_files import WatchedFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "api_definitions" / "deep").mkdir(parents=True)
    (tmp_path / "api_definitions" / "deep" / "petstore.yaml").write_text("a")
    (tmp_path / "target").mkdir()
    return tmp_path


def change(project: Path) -> None:
    (project / "api_definitions" / "deep" / "petstore.yaml").write_text("ab")


def replace(project: Path) -> None:
    """As editors save: a new file in the place of the old one, of the same length."""
    draft = project / ".petstore.yaml.swp"
    draft.write_text("b")
    draft.replace(project / "api_definitions" / "deep" / "petstore.yaml")


def add(project: Path) -> None:
    (project / "api_definitions" / "other.yaml").write_text("")


def remove(project: Path) -> None:
    (project / "api_definitions" / "deep" / "petstore.yaml").unlink()


@pytest.mark.parametrize("edit", [change, replace, add, remove])
def test_a_change_counts_once_and_only_when_it_holds_still(project: Path, edit: Callable[[Path], None]):
    watched = WatchedFiles((project,))
    assert not watched.changed()
    edit(project)
    assert [watched.changed() for _ in range(3)] == [False, True, False]


def test_a_change_that_goes_on_is_waited_for(project: Path):
    watched = WatchedFiles((project,))
    seen = []
    for number in range(3):
        (project / "growing.yaml").write_text("x" * number)
        seen.append(watched.changed())
    assert seen == [False, False, False]
    assert watched.changed()


def test_what_a_build_or_an_editor_leaves_is_no_change(project: Path):
    watched = WatchedFiles((project,))
    (project / "target" / "petstore").write_text("built")
    (project / ".git").mkdir()
    (project / ".git" / "index").write_text("")
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "x.pyc").write_text("")
    assert [watched.changed() for _ in range(3)] == [False, False, False]


def test_files_that_are_not_there_yet_may_come(tmp_path: Path):
    watched = WatchedFiles((tmp_path / "micro-gw.conf",))
    assert not watched.changed()
    (tmp_path / "micro-gw.conf").write_text("")
    assert [watched.changed(), watched.changed()] == [False, True]
