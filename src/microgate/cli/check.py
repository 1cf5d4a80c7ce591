"""`microgate check`: all that a build would find, with nothing written. Its data are the findings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from microgate.cli import targets
from microgate.cli.declaration import OUTPUT, Argument, Command, Option
from microgate.cli.output import put
from microgate.diagnostics import Report
from microgate.plan.artefact import open_artefact

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console
    from microgate.diagnostics import Diagnostic


def _run(arguments: argparse.Namespace, console: Console) -> int:
    target = targets.find(arguments.project)
    report = Report()
    if target.kind is targets.Kind.ARTEFACT:
        open_artefact(target.path)
    else:
        with console.progress(f"checking {target.path}"):
            targets.compile_target(target, report)
    text = _form(report.diagnostics, arguments.format, console, to_file=bool(arguments.output))
    if text or arguments.output:
        put(text, arguments.output, console)
    if arguments.format == "text":
        from microgate.cli.diagnostics_text import summary

        console.say(summary(report.diagnostics))
    return 1 if report.has_errors else 0


def _form(diagnostics: list[Diagnostic], form: str, console: Console, *, to_file: bool) -> str:
    from microgate.cli import diagnostics_json, diagnostics_text

    if form == "json":
        return diagnostics_json.render_json(diagnostics)
    if form == "sarif":
        return diagnostics_json.render_sarif(diagnostics)
    if to_file:
        return diagnostics_text.render(diagnostics)
    return diagnostics_text.render(diagnostics, paint=lambda word, kind: console.paint(word, kind, sys.stdout))


COMMAND = Command(
    name="check",
    summary="find what is wrong with a project; nothing is written",
    run=_run,
    arguments=(Argument("PROJECT", "the project folder, or an OpenAPI file", default="."),),
    options=(
        Option(("--format",), "form of the findings", "FORM", choices=("text", "json", "sarif"), default="text"),
        OUTPUT,
    ),
    about="The exit code is 0 where a build would succeed, and 1 where it would not.",
    examples=("microgate check petstore", "microgate check petstore --format sarif -o findings.sarif"),
    aliases=("validate",),
)
