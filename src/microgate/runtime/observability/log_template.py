"""The access log in a form of the user's choice: a template with `{fields}`, and Apache's combined format as one of them.

For people with parsers that expect their own lines. A template is checked at the start; values are escaped so that
none of them can end a line or a quoted string. Chosen by access_log.py.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from microgate.errors import SettingsError
from microgate.runtime.observability.escaping import plain, plain_text
from microgate.runtime.observability.flags import FLAGS, NO_FLAG, decided_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.observability.access_log import Line
    from microgate.runtime.pipeline import Labels

COMBINED = (
    '{client} - {consumer} [{time_local}] "{method} {path} {protocol}" {status} {bytes_out} "{referer}" "{user_agent}"'
)

_PLACE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_PROTOCOLS = {0: "HTTP/1.0", 1: "HTTP/1.1", 2: "HTTP/2"}


class Record(NamedTuple):
    """What a field is taken from. `upstream_us` below zero means that no backend was asked."""

    exchange: Exchange
    labels: Labels
    total_us: int
    upstream_us: int
    gateway_us: int

    @property
    def began(self) -> float:
        return time() - self.total_us / 1_000_000


Field: TypeAlias = "Callable[[Record], str]"


@lru_cache(maxsize=16)
def _second(form: str, moment: int) -> str:
    return strftime(form, gmtime(moment))


def _iso_time(record: Record) -> str:
    began = record.began
    return f"{_second('%Y-%m-%dT%H:%M:%S', int(began))}.{int(began % 1 * 1_000):03d}Z"


def _local_time(record: Record) -> str:
    return _second("%d/%b/%Y:%H:%M:%S +0000", int(record.began))


def _milliseconds(microseconds: int) -> str:
    return f"{microseconds / 1_000:.3f}" if microseconds >= 0 else "-"


def _reason(record: Record) -> str:
    return record.exchange.fault.reason if record.exchange.fault is not None else "-"


def _response_flag(record: Record) -> str:
    return FLAGS[record.exchange.fault.kind.label] if record.exchange.fault is not None else NO_FLAG


def _consumer(record: Record) -> str:
    return plain_text(record.exchange.consumer.name) if record.exchange.consumer is not None else "-"


def _application(record: Record) -> str:
    consumer = record.exchange.consumer
    return plain_text(consumer.application_key) if consumer is not None else "-"


def _application_tier(record: Record) -> str:
    consumer = record.exchange.consumer
    details = consumer.application_details if consumer is not None else None
    return plain_text(details.tier) if details is not None else "-"


def _subscription_tier(record: Record) -> str:
    consumer = record.exchange.consumer
    subscription = consumer.subscriptions.get(record.labels.api_id) if consumer is not None else None
    return plain_text(subscription.tier) if subscription is not None else "-"


def _of_limit(tell: Callable[[Any, int], str]) -> Field:
    """A field of the limit that is nearest to its end, or that the request was over: made of its counter and what is left."""

    def field(record: Record) -> str:
        quota = record.exchange.quota
        return "-" if quota is None else tell(quota[0], quota[1])

    return field


def _referer(record: Record) -> str:
    return plain(b", ".join(record.exchange.values(b"referer")))


FIELDS: dict[str, Field] = {
    "time": _iso_time,
    "time_local": _local_time,
    "request_id": lambda record: record.exchange.request_id or "-",
    "trace_id": lambda record: record.exchange.trace_id or "-",
    "span_id": lambda record: record.exchange.span_id or "-",
    "client": lambda record: plain_text(record.exchange.client),
    "scheme": lambda record: record.exchange.scheme,
    "host": lambda record: plain(record.exchange.authority),
    "method": lambda record: plain_text(record.exchange.method),
    "path": lambda record: plain(record.exchange.path),
    "target": lambda record: plain(record.exchange.target),
    "route": lambda record: plain_text(record.labels.route),
    "api": lambda record: plain_text(record.labels.api),
    "version": lambda record: plain_text(record.labels.version),
    "operation_id": lambda record: plain_text(record.labels.operation_id),
    "status": lambda record: str(record.exchange.status),
    "reason": _reason,
    "decided_by": lambda record: decided_by(record.exchange),
    "response_flag": _response_flag,
    "upstream": lambda record: plain_text(record.exchange.upstream_name),
    "bytes_in": lambda record: str(record.exchange.bytes_in),
    "bytes_out": lambda record: str(record.exchange.bytes_out),
    "duration_ms": lambda record: _milliseconds(record.total_us),
    "upstream_ms": lambda record: _milliseconds(record.upstream_us),
    "gateway_ms": lambda record: _milliseconds(record.gateway_us),
    "consumer": _consumer,
    "application": _application,
    "application_tier": _application_tier,
    "subscription_tier": _subscription_tier,
    "limit_level": _of_limit(lambda bound, _: plain_text(bound.limit.level)),
    "limit_policy": _of_limit(lambda bound, _: plain_text(bound.name)),
    "limit_verdict": _of_limit(lambda bound, left: "admitted" if left >= 0 else bound.limit.verdict),
    "limit_remaining": _of_limit(lambda _, left: str(max(0, left))),
    "user_agent": lambda record: plain(record.exchange.user_agent),
    "referer": _referer,
    "protocol": lambda record: _PROTOCOLS.get(record.exchange.version, "-"),
}


class TemplateFormat:
    """A template, taken apart once; raises SettingsError for a field that there is not, or a brace without its partner."""

    def __init__(self, template: str) -> None:
        self._fields: list[Field] = []
        if "\n" in template or "\r" in template:
            raise SettingsError("`accessLogConfig.format`: a template is one line")
        self._form = _PLACE.sub(self._place, template.replace("%", "%%")) + "\n"

    def _place(self, found: re.Match[str]) -> str:
        text = found[0]
        if text in {"{{", "}}"}:
            return text[0]
        name = text[1:-1]
        if len(text) == 1:
            raise SettingsError(
                f"`accessLogConfig.format`: a single `{text}`", f"write `{text}{text}` for the character"
            )
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"fields are {', '.join(FIELDS)}"
            raise SettingsError(f"`accessLogConfig.format`: unknown field `{name}`", hint)
        self._fields.append(FIELDS[name])
        return "%s"

    def link(self, labels: Labels) -> Line:
        form, fields = self._form, self._fields

        def line(exchange: Exchange, total_us: int, upstream_us: int, gateway_us: int) -> bytes:
            record = Record(exchange, labels, total_us, upstream_us, gateway_us)
            return (form % tuple(field(record) for field in fields)).encode()

        return line
