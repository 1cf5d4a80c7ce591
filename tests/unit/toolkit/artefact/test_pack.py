"""Packing a plan: the same bytes for the same plan, and a file that is whole or not there."""

from __future__ import annotations

import os
import stat

import pytest

from microgate.errors import ProjectError
from microgate.plan.model import Plan
from microgate.toolkit.artefact.pack import pack, write

PLAN = Plan(project="p", engine="1", apis=(), upstreams=(), inputs=(("a.yaml", "00"), ("b.yaml", "11")))


def test_the_same_plan_is_the_same_bytes():
    again = Plan(project="p", engine="1", apis=(), upstreams=(), inputs=(("a.yaml", "00"), ("b.yaml", "11")))
    assert pack(PLAN) == pack(again)


def test_a_name_that_is_not_utf_8_is_one_line():
    with pytest.raises(ProjectError, match="is not UTF-8"):
        pack(Plan(project="p\udcfe", engine="1", apis=(), upstreams=()))


def test_a_written_artefact_is_executable_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        write(pack(PLAN), tmp_path / "target" / "p")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "target" / "p").stat().st_mode) == 0o755


def test_an_older_artefact_is_replaced_and_nothing_else_is_left(tmp_path):
    file = tmp_path / "p"
    file.write_bytes(b"old")
    file.chmod(0o444)
    write(pack(PLAN), file)
    assert file.read_bytes() == pack(PLAN)
    assert list(tmp_path.iterdir()) == [file]


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "kept").touch()
    with pytest.raises(ProjectError, match=r"p: cannot be written"):
        write(pack(PLAN), tmp_path / "p")
    assert [path.name for path in tmp_path.rglob("*")] == ["p", "kept"]


def test_a_place_that_is_no_folder_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ProjectError, match="cannot be written"):
        write(pack(PLAN), tmp_path / "file" / "p")
