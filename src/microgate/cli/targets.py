"""What a command is pointed at: an artefact, a project folder or a bare OpenAPI file, each of which becomes a plan. Serving an
artefact goes through here without importing the toolkit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from microgate.diagnostics import Report
from microgate.errors import Findings, ProjectError
from microgate.plan.artefact import is_artefact, open_artefact

if TYPE_CHECKING:
    from microgate.cli.console import Console
    from microgate.diagnostics import Diagnostic
    from microgate.plan.model import Plan


class Kind(enum.Enum):
    ARTEFACT = "artefact"
    PROJECT = "project"
    DESCRIPTION = "description"


@dataclass(frozen=True, slots=True)
class Target:
    """A path that exists, and what it is."""

    path: Path
    kind: Kind

    @property
    def base(self) -> Path:
        """The folder that the files of its diagnostics are relative to."""
        return self.path if self.kind is Kind.PROJECT else self.path.parent


def find(text: str) -> Target:
    """What is at the path the user typed. Raises ProjectError where that is nothing of ours."""
    path = Path(text)
    if path.is_dir():
        from microgate.toolkit.project import layout

        if not layout.is_project(path):
            raise ProjectError(
                f"`{text}` is not a project: it has no folder `{layout.DEFINITIONS}`",
                "make one with `microgate init NAME`",
            )
        return Target(path, Kind.PROJECT)
    if not path.exists():
        raise ProjectError(f"`{text}` does not exist", "give a project folder, an OpenAPI file or an artefact")
    if not path.is_file():
        raise ProjectError(f"`{text}` is neither a file nor a folder")
    return Target(path, Kind.ARTEFACT if is_artefact(path) else Kind.DESCRIPTION)


def find_project(text: str) -> Target:
    """As `find`, for a command that takes a project only."""
    if not Path(text).exists():
        raise ProjectError(f"project `{text}` does not exist", f"make it with `microgate init {text}`")
    target = find(text)
    if target.kind is not Kind.PROJECT:
        raise ProjectError(f"`{text}` is not a project folder", "make one with `microgate init NAME -a FILE`")
    return target


def compile_target(target: Target, report: Report, deployment: str | None = None) -> Plan | None:
    """Compile a project or description; None where the report has errors. Files are named as from where the user stands.

    `deployment` is a file to check instead of the project's own deployment configuration.
    """
    from microgate.toolkit import compiler

    own = Report()
    if target.kind is Kind.PROJECT:
        plan = compiler.compile_project(target.path, own)
        _check_deployment(target, deployment, report)
    else:
        plan = compiler.compile_description(target.path, own)
    for diagnostic in own.diagnostics:
        report.add(_from_here(diagnostic, target.base))
    return None if report.has_errors else plan


def obtain(target: Target, console: Console, deployment: str | None = None) -> Plan:
    """The plan of a target, opened or compiled in memory. Warnings are printed; errors raise Findings or ArtefactError."""
    if target.kind is Kind.ARTEFACT:
        return open_artefact(target.path).plan
    report = Report()
    with console.progress(f"compiling {target.path}"):
        plan = compile_target(target, report, deployment)
    if plan is None:
        raise Findings(report.diagnostics)
    tell(report.diagnostics, console)
    return plan


def tell(diagnostics: list[Diagnostic], console: Console) -> None:
    """Print findings that stop nothing."""
    if diagnostics:
        from microgate.cli import diagnostics_text

        console.say(diagnostics_text.render(diagnostics, paint=console.paint))


def _check_deployment(target: Target, chosen: str | None, report: Report) -> None:
    from microgate.toolkit.project import deployment, layout

    file = Path(chosen) if chosen else target.path / layout.DEPLOYMENT
    if chosen or file.exists():
        deployment.check(file, str(file), report)


def _from_here(diagnostic: Diagnostic, base: Path) -> Diagnostic:
    if not diagnostic.file or base == Path():
        return diagnostic
    return msgspec.structs.replace(diagnostic, file=str(base / diagnostic.file))
