"""Golden cases: a project goes in, what the compiler says (`diagnostics.txt`) and the plan (`plan.json`) come out.

`make golden` writes them anew; the diff is what a reviewer reads. `project/` is compiled as a project, a lone
`description.*` as a bare description.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from microgate.diagnostics import Report
from microgate.plan.model import encode
from microgate.toolkit.compiler import compile_description, compile_project

HERE = Path(__file__).parent
CASES = sorted(path for path in HERE.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def compiled(case):
    report = Report()
    project = case / "project"
    if project.is_dir():
        return compile_project(project, report), report
    return compile_description(next(case.glob("description.*")), report), report


def written(report):
    lines = []
    for finding in report.diagnostics:
        place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
        lines.append(f"{finding.severity.value}[{finding.code}]: {place}: {finding.message}")
        if finding.source:
            lines += [f"    {finding.source}", "    " + " " * (finding.column - 1) + "^"]
        if finding.pointer:
            lines.append(f"  at: {finding.pointer}")
        if finding.hint:
            lines.append(f"  hint: {finding.hint}")
    return "".join(line.rstrip() + "\n" for line in lines)


def plan_text(plan):
    if plan is None:
        return ""
    shown = msgspec.structs.replace(plan, engine="", inputs=tuple((name, "") for name, _ in plan.inputs))
    return msgspec.json.format(msgspec.json.encode(shown), indent=1).decode() + "\n"


def compare(file, text):
    if os.environ.get("MICROGATE_GOLDEN") == "write":
        if text:
            file.write_text(text, encoding="utf-8")
        else:
            file.unlink(missing_ok=True)
    assert text == (file.read_text(encoding="utf-8") if file.exists() else "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case):
    plan, report = compiled(case)
    assert (plan is None) == report.has_errors
    compare(case / "diagnostics.txt", written(report))
    compare(case / "plan.json", plan_text(plan))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_input_gives_the_same_bytes_in_another_folder(case, tmp_path):
    copy = tmp_path / "a folder with blanks" / case.name
    shutil.copytree(case, copy)
    plan, report = compiled(case)
    again, report_again = compiled(copy)
    assert written(report) == written(report_again)
    if plan is not None:
        assert encode(plan) == encode(again)


def test_case_54_at_least_twenty_broken_projects_are_told_apart():
    broken = [case for case in CASES if not (case / "plan.json").exists()]
    assert len(broken) >= 20
    for case in broken:
        first_lines = [
            line for line in (case / "diagnostics.txt").read_text().splitlines() if line.startswith("error[")
        ]
        assert first_lines
