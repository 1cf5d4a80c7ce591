"""Habits of the tests and the repository: no fixed sleeps, no mocks, every dependency and diagnostic explained."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from harness import services
from harness.sources import ROOT, name_of, python_files, tracked, tree


def _sleeps_outside_loops(node, *, in_loop=False):
    """Line numbers of calls to sleep that no `while` surrounds: a sleep between two looks is waiting, one alone is hoping."""
    found = []
    for child in ast.iter_child_nodes(node):
        inside = in_loop or isinstance(child, ast.While)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = False
        if isinstance(child, ast.Call) and not inside:
            function = child.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            zero = child.args and isinstance(child.args[0], ast.Constant) and child.args[0].value == 0
            if name == "sleep" and not zero:
                found.append(child.lineno)
        found += _sleeps_outside_loops(child, in_loop=inside)
    return found


def test_no_test_sleeps_for_a_fixed_time():
    found = [f"{name_of(p)}:{line}" for p in python_files("tests") for line in _sleeps_outside_loops(tree(p))]
    assert not found


def test_no_test_replaces_our_code():
    """A recorded head or a real socket instead: what is mocked is not tested."""
    mocks = "unittest" + ".mock", "Magic" + "Mock", "monkeypatch" + ".setattr(microgate"
    found = [f"{name_of(p)}: {m}" for p in python_files("tests") for m in mocks if m in p.read_text(encoding="utf-8")]
    assert not found


def test_no_test_is_left_out():
    """What a machine lacks is brought along or chosen at collection: a skipped test is one that nobody misses.

    The one exception is a service of the system that is not installed, and that one is named; CI forbids it too.
    """
    ways = "pytest" + ".skip", "mark" + ".skip", "import" + "orskip", "mark" + ".xfail", "pytest" + ".xfail"
    files = [path for path in python_files("tests") if "conformance" not in path.parts]
    found = [f"{name_of(p)}: {way}" for p in files for way in ways for _ in range(p.read_text("utf-8").count(way))]
    assert found == [f"tests/harness/services/__init__.py: {ways[0]}"]
    assert "export SERVICES_REQUIRED=1\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_a_missing_service_is_named_and_a_failure_in_ci(monkeypatch):
    monkeypatch.delenv("SERVICES_REQUIRED", raising=False)
    with pytest.raises(BaseException, match="this machine has no nosuchd: `make services`") as left_out:
        services.require("nosuchd")
    assert left_out.typename == "Skipped"
    monkeypatch.setenv("SERVICES_REQUIRED", "1")
    with pytest.raises(BaseException, match="this machine has no nosuchd") as failed:
        services.require("nosuchd")
    assert failed.typename == "Failed"


def test_every_dependency_has_its_line():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"].get("optional-dependencies", {})
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for entries in extras.values():
        wanted += entries
    names = {re.split(r"[><=;\s\[]", entry)[0].lower() for entry in wanted}
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = {name.lower() for name in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)}
    assert names == explained


def test_every_locked_package_is_pinned_with_its_hash():
    for name in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        loose = [line.split()[0] for line in lines if "==" not in line or "--hash=sha256:" not in line]
        assert not loose


def test_every_used_diagnostic_has_a_page_and_every_page_is_used():
    pages = {path.stem for path in (ROOT / "docs/diagnostics").glob("MG*.md")}
    used = set()
    for path in python_files("src"):
        used |= set(re.findall(r"\bMG\d{3}\b", path.read_text(encoding="utf-8")))
    assert used == pages


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("0*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_tests_mirror_the_sources():
    """A unit test file is named for a module, or for a part of what its room does; its folder is a room of the source."""
    strangers = []
    for path in python_files("tests"):
        parts = path.relative_to(ROOT).parts
        if parts[1] == "unit" and not (ROOT / "src/microgate").joinpath(*parts[2:-1]).is_dir():
            strangers.append(name_of(path))
    assert not strangers


def test_changelog_fragments_have_a_kind():
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    wrong = [
        name_of(path)
        for path in tracked()
        if path.parent == ROOT / "changelog.d" and path.name != "README.md" and path.name.split(".")[-2] not in kinds
    ]
    assert not wrong
