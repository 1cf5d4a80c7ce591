"""The access log's JSON form: one object for each exchange, its keys in docs/observability.md.

The common way of every request, so it is one literal: what an operation fixes is written once, values that come again
are kept in their escaped form. Chosen by access_log.py.
"""

from __future__ import annotations

from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any, cast

from microgate.runtime.observability.escaping import Memo, json_string, json_text
from microgate.runtime.observability.flags import FLAGS, NO_FLAG, decided_by

if TYPE_CHECKING:
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.observability.access_log import Line
    from microgate.runtime.pipeline import Labels

_PROTOCOLS = {0: '"HTTP/1.0"', 1: '"HTTP/1.1"', 2: '"HTTP/2"'}
_BY_BACKEND = f'"","decided_by":"backend","response_flag":"{NO_FLAG}"'
_BY_GATEWAY = f'"","decided_by":"gateway","response_flag":"{NO_FLAG}"'
_EMPTY = '""'
_NOBODY = '"consumer":"","application":"","application_tier":"","subscription_tier":""'
_NO_LIMIT = '"limit_level":"","limit_policy":"","limit_verdict":"","limit_remaining":null'
_THOUSANDTHS = tuple(f".{number:03d}" for number in range(1_000))
# Most times are short: microseconds as milliseconds, ready made.
_SHORT_US = 10_000
_SHORT_MS = tuple(f"{number // 1_000}{_THOUSANDTHS[number % 1_000]}" for number in range(_SHORT_US))


def _milliseconds(microseconds: int) -> str:
    return f"{microseconds // 1_000}{_THOUSANDTHS[microseconds % 1_000]}" if microseconds >= 0 else "null"


class JsonFormat:
    """Links the JSON form for one operation after the other; they share the clock and the memos."""

    def __init__(self) -> None:
        self._second = 0
        self._second_text = ""
        self._words = Memo(json_text)  # clients, consumers, methods, names of upstreams
        self._agents = Memo(json_string)
        self._paths = Memo(json_string)
        self._admitted = _Admitted()

    def _next_second(self, second: int) -> str:
        self._second = second
        self._second_text = strftime('{"time":"%Y-%m-%dT%H:%M:%S', gmtime(second))
        return self._second_text

    def link(self, labels: Labels) -> Line:
        fixed = (
            f'"route":{json_text(labels.route)},"api":{json_text(labels.api)},'
            f'"version":{json_text(labels.version)},"operation_id":{json_text(labels.operation_id)},"status":'
        )
        words, agents, paths, admitted = self._words, self._agents, self._paths, self._admitted
        api_id = labels.api_id

        def caller(consumer: Consumer) -> str:
            subscription = consumer.subscriptions.get(api_id)
            details = consumer.application_details
            known = consumer.named.get(api_id)
            if known is not None and known[0] is subscription and known[1] is details:
                return cast("str", known[2])
            text = (
                f'"consumer":{words[consumer.name]},"application":{words[consumer.application_key]},'
                f'"application_tier":{words[details.tier] if details is not None else _EMPTY},'
                f'"subscription_tier":{words[subscription.tier] if subscription is not None else _EMPTY}'
            )
            consumer.named[api_id] = (subscription, details, text)
            return text

        def line(exchange: Exchange, total_us: int, upstream_us: int, gateway_us: int) -> bytes:
            fault = exchange.fault
            if fault is None:
                decision = _BY_BACKEND if exchange.answer_head_at else _BY_GATEWAY
            else:
                decision = f'"{fault.reason}","decided_by":"{decided_by(exchange)}","response_flag":"{FLAGS[fault.kind.label]}"'
            began_ms = int(time() * 1_000) - total_us // 1_000
            second = began_ms // 1_000
            consumer, quota = exchange.consumer, exchange.quota
            return (
                f"{self._second_text if second == self._second else self._next_second(second)}"
                f'{_THOUSANDTHS[began_ms % 1_000]}Z","request_id":"{exchange.request_id}",'
                f'"trace_id":"{exchange.trace_id}","span_id":"{exchange.span_id}",'
                f'"client":{words[exchange.client]},"method":{words[exchange.method]},'
                f'"path":{paths[exchange.path]},{fixed}{exchange.status},"reason":{decision},'
                f'"upstream":{words[exchange.upstream_name]},'
                f'"bytes_in":{exchange.bytes_in},"bytes_out":{exchange.bytes_out},'
                f'"duration_ms":{_SHORT_MS[total_us] if total_us < _SHORT_US else _milliseconds(total_us)},'
                f'"upstream_ms":{_SHORT_MS[upstream_us] if 0 <= upstream_us < _SHORT_US else _milliseconds(upstream_us)},'
                f'"gateway_ms":{_SHORT_MS[gateway_us] if gateway_us < _SHORT_US else _milliseconds(gateway_us)},'
                f"{caller(consumer) if consumer is not None else _NOBODY},"
                f"{_limit(quota, words, admitted) if quota is not None else _NO_LIMIT},"
                f'"user_agent":{agents[exchange.user_agent]},"protocol":{_PROTOCOLS.get(exchange.version, _EMPTY)}}}\n'
            ).encode()

        return line


class _Admitted(dict[tuple[Any, str], str]):
    """What the line says of a limit that let a request pass, by limit and name, up to what is left."""

    def __missing__(self, key: tuple[Any, str]) -> str:
        limit, name = key
        text = self[key] = (
            f'"limit_level":"{limit.level}","limit_policy":{json_text(name)},"limit_verdict":"admitted","limit_remaining":'
        )
        return text


def _limit(quota: Any, words: Memo[str], admitted: _Admitted) -> str:
    """The limit that is nearest to its end, or that the request was over."""
    bound, left, _, _ = quota
    limit = bound.limit
    if left >= 0:
        return f"{admitted[limit, bound.name]}{left}"
    return (
        f'"limit_level":"{limit.level}","limit_policy":{words[bound.name]},'
        f'"limit_verdict":"{limit.verdict}","limit_remaining":0'
    )
