"""`microgate simulate`: whom the limits of an artefact, or of an edited project, would have refused, by access logs."""

from __future__ import annotations

import gzip
import logging
import sys
import zlib
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgate.cli import tables, targets
from microgate.cli.declaration import OUTPUT, Argument, Command, Option, whole_number
from microgate.cli.output import put
from microgate.errors import ProjectError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import BinaryIO, TypeAlias

    from microgate.cli.console import Console
    from microgate.plan.model import Plan
    from microgate.runtime.observability.log_reading import Reader
    from microgate.runtime.simulation import Finding, Simulation

    Log: TypeAlias = BinaryIO | gzip.GzipFile

STANDARD_INPUT = "-"
MOST_HOLDERS = 1_000
TEXT_HOLDERS = 5
NOTHING = "-"
_GZIP = b"\x1f\x8b"
_UNSEEN = frozenset({"header", "query", "claim"})  # kinds of conditions; of the fields a log has only User-Agent


def _run(arguments: argparse.Namespace, console: Console) -> int:
    from microgate.runtime.observability.log_reading import Reader
    from microgate.runtime.simulation import Simulation
    from microgate.settings.model import Settings

    if not arguments.log:
        raise UsageError("LOG is missing", "give access logs, or `-` for standard input")
    plan = targets.obtain(targets.find(arguments.artefact), console)
    # What a gateway would say of each policy while it serves, the findings say.
    logging.getLogger("microgate").addHandler(logging.NullHandler())
    reader = Reader()
    simulation = Simulation(plan, Settings())
    with ExitStack() as opened, console.progress("reading"):
        streams = [_Named(name, _open(name, opened)) for name in arguments.log]
        for batch in reader.batches(streams):
            simulation.run(batch)
    if reader.broken == reader.count:
        what = "is empty" if not reader.count else "has no line of an access log"
        hint = 'logs are read in the form of `accessLogConfig.format = "json"`, which is the default'
        raise ProjectError(f"{', '.join(arguments.log)}: {what}", hint)
    if arguments.format == "json":
        from microgate.cli.diagnostics_json import pretty

        put(pretty(_facts(plan, reader, simulation, arguments.top)), arguments.output, console)
    else:
        put("\n\n".join(_parts(plan, reader, simulation, arguments.top)), arguments.output, console)
    return 0


class _Named:
    """A log by its name, so that what goes wrong while it is read can be told in one line."""

    def __init__(self, name: str, log: Log) -> None:
        self._name = name
        self._log = log

    def read(self, size: int, /) -> bytes:
        try:
            return self._log.read(size)
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(self._name, error) from error


def _open(name: str, opened: ExitStack) -> Log:
    if name == STANDARD_INPUT:
        return sys.stdin.buffer
    try:
        log = opened.enter_context(Path(name).open("rb"))  # noqa: SIM115 - the stack closes it
        is_compressed = log.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
    except OSError as error:
        raise _unreadable(name, error) from error
    return gzip.GzipFile(fileobj=log) if is_compressed else log


def _unreadable(name: str, error: Exception) -> ProjectError:
    return ProjectError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}")


def _parts(plan: Plan, reader: Reader, simulation: Simulation, top: int | None) -> Iterator[str]:
    span = f"{_time(reader.first)} to {_time(reader.last)}"
    yield f"{simulation.asked} of {reader.count} requests were counted, {span}"
    rows = [_row(finding, TEXT_HOLDERS if top is None else top) for finding in simulation.findings]
    if rows:
        yield tables.render(
            ("LEVEL", "POLICY", "REQUESTS", "REFUSED", "OVER", "SHADOW", "FIRST", "MOST OFTEN OVER IT"), rows
        )
    notes = list(_notes(plan, reader, simulation))
    if notes:
        yield "\n".join(notes)


def _row(finding: Finding, top: int) -> tuple[str, ...]:
    most = ", ".join(f"{holder} ({count})" for holder, count in finding.most(top))
    counts = [str(finding.verdicts[verdict]) for verdict in ("refused", "over", "shadow")]
    first = NOTHING if finding.first is None else _time(finding.first)
    return finding.level, finding.policy, str(finding.requests), *counts, first, most or NOTHING


def _notes(plan: Plan, reader: Reader, simulation: Simulation) -> Iterator[str]:
    """What was left out, and what the log could not tell."""
    counted = {
        "lines that are not understood": reader.broken,
        "lines too far out of order, counted late": reader.late,
        "refused before limits are asked": simulation.refused_before,
        "to a path that no operation has": simulation.unrouted,
        "to operations that nothing limits": simulation.unlimited,
        "of callers without a name, told apart by their address": simulation.nameless,
    }
    for what, count in counted.items():
        if count:
            yield f"{what}: {count}"
    for tier, count in sorted(simulation.undefined.items()):
        yield f"refused with 500, for policies.yaml does not define the {tier}: {count}"
    if simulation.unknown_applications:
        yield "the log does not name applications and tiers: callers are counted by who they are"
    if simulation.shares_counts:
        yield "there were more keys than are kept apart: some share a count"
    unseen = sorted(policy.name for policy in plan.policies if _has_unseen(policy))
    if unseen:
        yield f"not in a log, so not seen: headers but User-Agent, queries and claims, which {', '.join(unseen)} may ask for"
    apart = sorted(policy.name for policy in plan.policies if _has_more(policy))
    if apart:
        yield f"not simulated: concurrency, bandwidth and weights of {', '.join(apart)}"
    if plan.blocks:
        yield "not simulated: blocking conditions"


def _has_unseen(policy: Any) -> bool:
    kinds = {
        condition.kind for group in policy.groups for condition in group.conditions if condition.name != "user-agent"
    }
    return bool(kinds & _UNSEEN) or any(word in policy.key_template for word in ("$header", "$query", "$claim"))


def _has_more(policy: Any) -> bool:
    allowances = [policy.allowance, *(group.allowance for group in policy.groups)]
    return bool(policy.weights) or any(one.concurrency is not None or one.bandwidth is not None for one in allowances)


def _facts(plan: Plan, reader: Reader, simulation: Simulation, top: int | None) -> dict[str, Any]:
    return {
        "lines": reader.count,
        "counted": simulation.asked,
        "first": _time(reader.first),
        "last": _time(reader.last),
        "limits": [
            {
                "level": finding.level,
                "policy": finding.policy,
                "requests": finding.requests,
                **finding.verdicts,
                "firstOver": None if finding.first is None else _time(finding.first),
                "mostOver": [
                    {"who": who, "count": count} for who, count in finding.most(MOST_HOLDERS if top is None else top)
                ],
            }
            for finding in simulation.findings
        ],
        "notUnderstood": reader.broken,
        "outOfOrder": reader.late,
        "refusedBefore": simulation.refused_before,
        "unrouted": simulation.unrouted,
        "unlimited": simulation.unlimited,
        "undefinedTiers": dict(sorted(simulation.undefined.items())),
        "notes": list(_notes(plan, reader, simulation)),
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


COMMAND = Command(
    name="simulate",
    summary="tell whom limits would have refused, by access logs",
    run=_run,
    arguments=(
        Argument("ARTEFACT", "the artefact, project folder or OpenAPI file whose limits count"),
        Argument("LOG", "access logs in their JSON form, compressed or not; `-` for standard input", many=True),
    ),
    options=(
        Option(("--format",), "form of the answer", "FORM", choices=("text", "json"), default="text"),
        Option(
            ("--top",),
            "name so many of those who were over a limit (text: 5)",
            "NUMBER",
            convert=whole_number(0, MOST_HOLDERS),
        ),
        OUTPUT,
    ),
    about="With a project folder, edit its policies.yaml and simulate again: nothing has to be built.",
    examples=(
        "microgate simulate petstore/target/petstore access.log",
        "zcat access.log.*.gz | microgate simulate petstore - --format json",
    ),
)
