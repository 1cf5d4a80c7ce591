"""The choice of the access log's form: `json`, `combined`, a template, or `off`.

A form is chosen once in a worker and linked for each operation. Lines are built in json_line.py and log_template.py, carried
by log_sink.py and written by log_writer.py; accounting.py measures the times and calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from microgate.errors import SettingsError
from microgate.runtime.observability.json_line import JsonFormat
from microgate.runtime.observability.log_template import COMBINED, TemplateFormat
from microgate.settings.model import AccessLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Labels
    from microgate.settings.model import Settings

# One line with its newline, from an exchange and the microseconds of the whole, of the upstream (below zero: no backend was
# asked) and of the gateway itself.
Line: TypeAlias = "Callable[[Exchange, int, int, int], bytes]"


class Format(Protocol):
    def link(self, labels: Labels) -> Line:
        """The function that writes the lines of one operation."""


def wanted(settings: Settings) -> AccessLog:
    """Form and place: `[accessLogConfig]`, or where that says nothing the keys of 3.x, which ask for the combined form."""
    if settings.access_log == AccessLog():
        older = settings.b7a.http
        if older.access_path or older.access_console:
            return AccessLog(format="combined", path=older.access_path or "-")
    return settings.access_log


def choose(form: str) -> Format | None:
    """The format that `accessLogConfig.format` names, None for `off`; raises SettingsError if it names none."""
    if form == "off":
        return None
    if form == "json":
        return JsonFormat()
    if form == "combined":
        return TemplateFormat(COMBINED)
    if "{" in form:
        return TemplateFormat(form)
    hint = "use `json`, `combined`, `off`, or a template with `{fields}`"
    raise SettingsError(f"`accessLogConfig.format`: unknown format `{form}`", hint)
