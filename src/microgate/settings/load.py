"""Loads the settings: command line over environment over file over defaults, all findings at once.

The command line calls `load` before anything serves. Nothing here opens key stores or sockets.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from microgate.diagnostics import Diagnostic, Report, Severity
from microgate.errors import Findings
from microgate.settings import catalogue, hints, rules
from microgate.settings.entries import BROKEN, Entry, Origin, add, with_present_names
from microgate.settings.file import ConfigurationFile
from microgate.settings.model import Settings
from microgate.settings.outside import from_command_line, from_environment, split_upstream_key
from microgate.settings.reader import HIDDEN, Reader, Value, show
from microgate.settings.schema import KEYS

MAX_HINTS = 100  # findings; who has more has named the wrong file, and each hint takes milliseconds

# What a value can be whatever the others say.
_WRONG_ALONE = {catalogue.TYPE, catalogue.RANGE, catalogue.ENCRYPTED, catalogue.ADDRESS}


class Sources(NamedTuple):
    """Where settings come from. `names` are the upstreams of the plan; `strict` makes unknown keys errors."""

    file: Path | None = None
    environ: Mapping[str, str] = {}
    overrides: tuple[tuple[str, str], ...] = ()
    strict: bool = True
    names: frozenset[str] = frozenset()


class Configuration(NamedTuple):
    """Settings, with where each came from and what the user should know."""

    settings: Settings
    values: tuple[Value, ...]
    warnings: list[Diagnostic]


def load(source: Sources) -> Configuration:
    """Read all sources into one checked `Settings`; raises Findings with every finding if any is an error."""
    report = Report()
    file = None if source.file is None else ConfigurationFile(source.file, source.environ, report)
    written = {} if file is None else with_present_names(file.entries(file.tree))
    outside = with_present_names(from_environment(source.environ, source.names))
    outside |= with_present_names(from_command_line(source.overrides))
    _judge_overridden({name: written[name] for name in written if name in outside}, source, report)
    values = written | outside

    reader = Reader(values, file, report, lenient=not source.strict)
    settings = reader.section(Settings)
    settings = msgspec.structs.replace(settings, raw=_upstream_keys(reader, source.names, report))
    _report_unknown(reader.values, source, report)
    if source.strict:
        # What was meant by it is not known, so what its table seems to lack is no news.
        reader.broken.update(reader.values)
    if not any(finding.code == catalogue.UNREADABLE for finding in report.diagnostics):
        finder = rules.Finder(report, reader.origins, reader.broken)
        for rule in rules.RULES:
            rule(settings, finder)
    findings = sorted(report.diagnostics, key=lambda one: (one.line == 0, one.line, one.file))
    if report.has_errors:
        raise Findings(findings)
    return Configuration(settings, tuple(reader.rows), findings)


def _judge_overridden(entries: dict[str, Entry], source: Sources, report: Report) -> None:
    """A wrong value in the file is wrong whoever overrides it: the next start may not. What only lacks company is not."""
    own = Report()
    reader = Reader(dict(entries), None, own, lenient=not source.strict)
    settings = reader.section(Settings)
    finder = rules.Finder(own, reader.origins, reader.broken)
    for rule in rules.RULES:
        rule(settings, finder)
    places = {entry.origin for entry in entries.values()}
    for finding in own.diagnostics:
        place = Origin(finding.file, finding.line, finding.column)
        if finding.code in _WRONG_ALONE and place in places:
            report.add(finding)


def _upstream_keys(reader: Reader, names: frozenset[str], report: Report) -> dict[str, str]:
    """Keys whose names come from the plan (WSO2 §8.6)."""
    raw: dict[str, str] = {}
    for key in sorted(reader.values):
        parts = split_upstream_key(key)
        if parts is None or parts[0] not in names:
            continue
        entry = reader.values.pop(key)
        if isinstance(entry.value, str):
            _take_upstream_key(key, parts[1], entry, report)
            is_secret = entry.is_hidden or key.endswith("_basic_password")
            reader.rows.append(Value(key, HIDDEN if is_secret else show(entry.value), str(entry.origin)))
            raw[key] = entry.value
        elif entry.value is not BROKEN:
            add(report, catalogue.TYPE, f"`{key}` must be a string", entry.origin)
    return raw


def _take_upstream_key(key: str, ending: str, entry: Entry, report: Report) -> None:
    if "_endpoint_" not in ending:
        add(report, catalogue.WITHOUT_EFFECT, f"`{key}` has no effect yet", entry.origin)
        return
    from microgate.backend_urls import carries_credentials, url_problem  # few starts replace an endpoint

    if carries_credentials(entry.value):
        message = f"`{key}` carries a user name or password"
        add(report, catalogue.ADDRESS, message, entry.origin, hint="credentials for backends are not supported yet")
        return
    problem = url_problem(entry.value)
    if problem:
        message = f"`{key}` is no address of a backend: {problem}"
        add(report, catalogue.ADDRESS, message, entry.origin, hint="write `http://host:port/path`")


def _report_unknown(left: dict[str, Entry], source: Sources, report: Report) -> None:
    for name, entry in left.items():
        if entry.value == {} and any(key.startswith(name + ".") for key in KEYS):
            continue
        hint = hints.nearest(name, entry.origin, source.names) if len(report.diagnostics) < MAX_HINTS else ""
        add(report, catalogue.UNKNOWN, f"unknown key `{entry.name or name}`", entry.origin, hint)
        if not source.strict:
            report.diagnostics[-1] = msgspec.structs.replace(report.diagnostics[-1], severity=Severity.WARNING)
