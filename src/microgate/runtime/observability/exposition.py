"""The metrics as text: Prometheus' format 0.0.4, or OpenMetrics 1.0 for scrapers that ask for it.

Names follow OpenTelemetry's conventions for HTTP where there is one and begin with `microgate_` otherwise; labels name an
operation by its API, version, route template and id, never by a raw path. Called by the admin listener.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.observability.metrics import BOUNDS_US, COUNTERS, GAUGES, OTHER_STATUS, VERDICTS, Histogram, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microgate.runtime.observability.ledger import Ledger, Series

PLAIN_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BOUNDS = (*(repr(bound / 1_000_000) for bound in BOUNDS_US), "+Inf")

_COUNTER_HELP = {
    "connections_accepted": "Connections accepted from clients.",
    "connections_refused": "Connections closed at once because the limit on connections was reached.",
    "connections_idle_closed": "Connections closed because no request came in time.",
    "connections_used_up": "Connections closed because they had carried as many requests as one may.",
    "proxy_protocol_errors": "Connections closed because their PROXY header was missing or malformed.",
    "tls_handshake_errors": "Connections whose TLS handshake failed.",
    "client_certificates_refused": "TLS handshakes that failed for the client's certificate, or for want of one.",
    "pipelining_pauses": "Times a connection was not read from until the requests it had sent ahead had their turn.",
    "upstream_connections_opened": "Connections made to backends.",
    "upstream_connect_failures": "Attempts to connect to a backend that failed.",
    "upstream_waits": "Requests that waited because a backend had as many connections as it may.",
    "upstream_resends": "Requests that were sent again because a reused connection was closed before any answer.",
    "access_log_lines": "Lines that the workers made for the access log.",
    "access_log_lines_dropped": "Lines of the access log that were dropped because nobody took them in time.",
    "worker_starts": "Workers that began to serve.",
    "backend_tokens": "Tokens for backends that were made because none was kept.",
    "backend_token_failures": "Tokens for backends that could not be made.",
    "token_verifications": "Tokens that were verified because no verdict on them was remembered.",
    "token_verdicts_evicted": "Remembered verdicts on tokens that had to leave for others.",
    "key_set_fetches": "Times an issuer was asked for its key set.",
    "key_set_failures": "Those of them that brought no key set.",
    "revocations_added": "Revocations that were new.",
    "revocations_misread": "Entries of sources of revocations that were not understood.",
    "revocations_refused": "Revocations that found no room.",
    "service_calls": "Calls to services that a request waited for, such as introspection.",
    "service_call_failures": "Those of them that brought no answer, or one of 500 and above.",
    "proofs_replayed": "Proofs of possession (DPoP) that had been used before.",
    "limit_keys_sharing": "Keys of rate limits that found no room in the table and share a count with others.",
    "limit_store_decisions": "Requests that the store of limits decided.",
    "limit_store_absences": "Requests that should have been, and were not because the store could not be had.",
    "limit_counts_shared": "Times a count was told to the other gateways over the store.",
    "limit_counts_unshared": "Times a count was not told, because too many waited for their turn.",
    "throttle_events_sent": "Events of admitted requests that the traffic manager has taken.",
    "throttle_events_dropped": "Events of admitted requests that found no room on their way, or waited too long.",
    "throttle_events_failed": "Events of admitted requests that the traffic manager refused or did not answer.",
    "throttle_decisions_misread": "Messages and entries of the traffic manager that cannot be read.",
    "throttle_decisions_refused": "Decisions, key templates and blocks of the traffic manager for which there was no room.",
    "proofs_without_room": "Proofs of possession that were refused because a worker remembers as many as it can.",
}
assert set(_COUNTER_HELP) == set(COUNTERS)

_GAUGE_HELP = {
    "active_requests": "Requests in flight.",
    "connections": "Open connections of clients.",
    "upstream_connections": "Open connections to backends.",
    "token_verdicts": "Verdicts on tokens that are remembered.",
    "token_verdict_bytes": "Memory that is reckoned for them.",
    "revocations": "Revocations in force.",
    "limit_keys": "Keys of rate limits that are counted.",
    "throttle_decisions": "Keys that the traffic manager has decided on.",
    "adaptive_limits": "Requests that adaptive bounds let wait for backends, summed over the operations that were asked for.",
    "overloaded_workers": "Workers that refuse requests for want of room.",
    "limit_stores_away": "Processes that cannot reach the store of limits.",
}
assert set(_GAUGE_HELP) == set(GAUGES)


def render(ledger: Ledger, workers: int, info: Mapping[str, str], *, openmetrics: bool = False) -> bytes:
    """The whole page. `workers` is their number; `info` are the labels of `microgate_artefact_info`."""
    page = _Page(openmetrics)
    counted = [(_operation(series), row) for series, row in ledger.rows()]
    page.durations(counted)
    page.bodies(counted)
    page.faults(counted)
    page.decisions(ledger.decisions())
    for name in GAUGES:
        shown = "http_server_active_requests" if name == "active_requests" else f"microgate_{name}"
        page.single(shown, "gauge", _GAUGE_HELP[name], ledger.gauge(name))
    page.single("microgate_workers", "gauge", "Worker processes.", workers)
    for name in COUNTERS:
        page.single(f"microgate_{name}", "counter", _COUNTER_HELP[name], ledger.counter(name))
    page.family("microgate_artefact_info", "gauge", "What is served.")
    page.sample("microgate_artefact_info", _labels(info), 1)
    return page.text()


def _labels(pairs: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in pairs.items())


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _operation(series: Series) -> str:
    return _labels(
        {
            "http_request_method": series.method,
            "http_route": series.route,
            "api": series.api,
            "api_version": series.version,
            "operation_id": series.operation_id,
        }
    )


def _seconds(microseconds: int) -> str:
    return repr(microseconds / 1_000_000)


class _Page:
    def __init__(self, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._lines: list[str] = []

    def family(self, name: str, kind: str, sentence: str) -> None:
        # A counter's family has the suffix in the older format only.
        family = f"{name}_total" if kind == "counter" and not self._openmetrics else name
        self._lines += (f"# HELP {family} {sentence}", f"# TYPE {family} {kind}")

    def sample(self, name: str, labels: str, value: int | str) -> None:
        self._lines.append(f"{name}{{{labels}}} {value}" if labels else f"{name} {value}")

    def single(self, name: str, kind: str, sentence: str, value: int) -> None:
        self.family(name, kind, sentence)
        self.sample(f"{name}_total" if kind == "counter" else name, "", value)

    def durations(self, counted: list[tuple[str, Row]]) -> None:
        name = "http_server_request_duration_seconds"
        self.family(name, "histogram", "Time from a request's first byte to the end of its answer.")
        for labels, row in counted:
            for status, histogram in sorted(row.statuses.items()):
                code = "_OTHER" if status == OTHER_STATUS else str(status)
                self._histogram(name, f'{labels},http_response_status_code="{code}"', histogram)
        name = "http_client_request_duration_seconds"
        self.family(name, "histogram", "Time from asking a backend to the head of its answer.")
        for labels, row in counted:
            if row.upstream.count:
                self._histogram(name, labels, row.upstream)
        name = "microgate_gateway_duration_seconds"
        self.family(
            name, "summary", "Time the gateway itself took before it asked a backend, or to the end if it asked none."
        )
        for labels, row in counted:
            self._summary(name, labels, _seconds(row.gateway_us), row.count)

    def _histogram(self, name: str, labels: str, histogram: Histogram) -> None:
        running = 0
        for bound, count in zip(_BOUNDS, histogram.buckets, strict=True):
            running += count
            self.sample(f"{name}_bucket", f'{labels},le="{bound}"', running)
        self._summary(name, labels, _seconds(histogram.sum_us), running)

    def _summary(self, name: str, labels: str, total: int | str, count: int) -> None:
        self.sample(f"{name}_sum", labels, total)
        self.sample(f"{name}_count", labels, count)

    def bodies(self, counted: list[tuple[str, Row]]) -> None:
        name = "http_server_request_body_size_bytes"
        self.family(name, "summary", "Bytes of request bodies.")
        for labels, row in counted:
            self._summary(name, labels, row.bytes_in, row.count)
        name = "http_server_response_body_size_bytes"
        self.family(name, "summary", "Bytes of answer bodies.")
        for labels, row in counted:
            self._summary(name, labels, row.bytes_out, row.count)

    def faults(self, counted: list[tuple[str, Row]]) -> None:
        self.family(
            "microgate_faults", "counter", "Answers the gateway itself gave, and answers it broke off, by kind."
        )
        for labels, row in counted:
            for kind, count in zip(faults.KINDS, row.faults, strict=True):
                if count:
                    self.sample("microgate_faults_total", f'{labels},kind="{kind.label}"', count)

    def decisions(self, counted: Mapping[tuple[str, str], list[int]]) -> None:
        self.family("microgate_limit_decisions", "counter", "What limits decided, by level, policy and verdict.")
        for (level, policy), counts in counted.items():
            for verdict, count in zip(VERDICTS, counts, strict=True):
                labels = _labels({"level": level, "policy": policy, "verdict": verdict})
                self.sample("microgate_limit_decisions_total", labels, count)

    def text(self) -> bytes:
        if self._openmetrics:
            self._lines.append("# EOF")
        return "\n".join(self._lines).encode() + b"\n"
