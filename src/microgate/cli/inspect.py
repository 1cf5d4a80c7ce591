"""`microgate inspect`: what an artefact is: its digest, who built it and from which files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microgate.cli import tables
from microgate.cli.console import printable
from microgate.cli.declaration import OUTPUT, Argument, Command, Option
from microgate.cli.output import put

if TYPE_CHECKING:
    import argparse

    from microgate.cli.console import Console
    from microgate.plan.artefact import Artefact


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.plan.artefact import open_artefact

    artefact = open_artefact(Path(arguments.artefact))
    put(_json(artefact) if arguments.format == "json" else _text(artefact), arguments.output, console)
    return 0


def _text(artefact: Artefact) -> str:
    plan = artefact.plan
    facts = [
        ("project", plan.project),
        ("engine", plan.engine),
        ("format", str(plan.format)),
        ("digest", f"sha256:{artefact.digest}"),
        ("size", f"{artefact.size_bytes} bytes"),
        ("apis", ", ".join(f"{api.name} {api.version}" for api in plan.apis)),
    ]
    lines = [f"{name:8} {printable(value)}" for name, value in facts]
    inputs = sorted(artefact.manifest.inputs.items())
    return "\n".join([*lines, "", tables.render(("INPUT", "SHA-256"), inputs)])


def _json(artefact: Artefact) -> str:
    from microgate.cli.diagnostics_json import pretty

    plan = artefact.plan
    return pretty(
        {
            "project": plan.project,
            "engine": plan.engine,
            "format": plan.format,
            "digest": f"sha256:{artefact.digest}",
            "sizeBytes": artefact.size_bytes,
            "apis": [{"name": a.name, "version": a.version, "basePath": a.base_path, "id": a.id} for a in plan.apis],
            "inputs": artefact.manifest.inputs,
        }
    )


COMMAND = Command(
    name="inspect",
    summary="show what an artefact is: metadata, digest, inputs",
    run=_run,
    arguments=(Argument("ARTEFACT", "the artefact"),),
    options=(Option(("--format",), "form of the answer", "FORM", choices=("text", "json"), default="text"), OUTPUT),
    examples=("microgate inspect petstore/target/petstore",),
)
