"""`microgate routes`: what an artefact serves, one line for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microgate.cli import access_text, tables, targets
from microgate.cli.declaration import OUTPUT, Argument, Command, Option
from microgate.cli.output import put

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from microgate.cli.console import Console
    from microgate.plan.model import Api, Operation, Plan

HEAD = ("METHOD", "PATH", "SECURITY", "LIMIT", "ENDPOINT", "SANDBOX", "TIMEOUT")
DEFAULT = "default"  # the listener's or backend's setting decides


def _run(arguments: argparse.Namespace, console: Console) -> int:
    plan = targets.obtain(targets.find(arguments.artefact), console)
    if arguments.format == "json":
        from microgate.cli.diagnostics_json import pretty

        put(pretty([_facts(plan, api, operation) for api, operation in _operations(plan)]), arguments.output, console)
        return 0
    rows = [_row(plan, api, operation) for api, operation in _operations(plan)]
    put(tables.render(HEAD, rows), arguments.output, console)
    return 0


def _operations(plan: Plan) -> Iterator[tuple[Api, Operation]]:
    for api in plan.apis:
        for operation in api.operations:
            yield api, operation


def _row(plan: Plan, api: Api, operation: Operation) -> tuple[str, ...]:
    hosts = ",".join(api.hosts)
    return (
        operation.method,
        hosts + _path(api, operation),
        access_text.text(api, operation),
        _limit(api, operation),
        " ".join(_urls(plan, operation.production)) or "-",
        " ".join(_urls(plan, operation.sandbox)) or "-",
        _timeout(plan, operation),
    )


def _path(api: Api, operation: Operation) -> str:
    return ("" if api.base_path == "/" else api.base_path) + operation.path


def _limit(api: Api, operation: Operation) -> str:
    limits = [tier for tier in (api.tier or operation.tier,) if tier]
    if operation.max_body_bytes is not None:
        limits.append(f"body {operation.max_body_bytes}")
    if operation.max_in_flight is not None:
        limits.append(f"in flight {operation.max_in_flight}")
    return ", ".join(limits) or "-"


def _urls(plan: Plan, index: int | None) -> tuple[str, ...]:
    return () if index is None else plan.upstreams[index].urls


def _timeout(plan: Plan, operation: Operation) -> str:
    """Those that the project sets; the rest come from the settings."""
    if operation.production is None:
        return "-"
    timeouts = plan.upstreams[operation.production].timeouts
    named = {name: getattr(timeouts, f"{name}_ms") for name in ("connect", "response", "idle", "total")}
    told = [f"{name} {milliseconds}" for name, milliseconds in named.items() if milliseconds]
    return f"{', '.join(told)} ms" if told else DEFAULT


def _facts(plan: Plan, api: Api, operation: Operation) -> dict[str, Any]:
    return {
        "api": api.name,
        "version": api.version,
        "operation": operation.id,
        "method": operation.method,
        "path": _path(api, operation),
        "hosts": api.hosts,
        **access_text.facts(api, operation),
        "tier": api.tier or operation.tier,
        "maxBodyBytes": operation.max_body_bytes,
        "maxInFlight": operation.max_in_flight,
        "production": _urls(plan, operation.production),
        "sandbox": _urls(plan, operation.sandbox),
        "timeout": _timeout(plan, operation),
    }


COMMAND = Command(
    name="routes",
    summary="list the operations of an artefact: security, limits, endpoint, timeout",
    run=_run,
    arguments=(Argument("ARTEFACT", "an artefact; a project or OpenAPI file is compiled first"),),
    options=(Option(("--format",), "form of the list", "FORM", choices=("text", "json"), default="text"), OUTPUT),
    examples=("microgate routes petstore/target/petstore",),
)
