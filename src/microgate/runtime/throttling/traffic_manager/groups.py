"""The condition groups of an API or operation that the traffic manager throttles, linked in a worker (WSO2 §11.3).

Of the groups with a number the first that a request belongs to decides. Where there is none, `default` does, unless the request
is among those that its own conditions leave out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from microgate.runtime.throttling.choosing import condition_messages, conditions
from microgate.runtime.throttling.choosing.condition_messages import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange
    from microgate.runtime.throttling.traffic_manager.rules import Group
    from microgate.settings.throttling import Throttling

    Matcher: TypeAlias = Callable[[Exchange], bool]
    Compiled: TypeAlias = dict[str, Matcher]

DEFAULT = "default"


class GroupSet:
    """The groups of one key, in their order."""

    def __init__(self, numbered: list[tuple[Matcher, int]], default: tuple[Matcher, int] | None) -> None:
        self._numbered = numbered
        self._default = default

    def until(self, exchange: Exchange, now_ms: int) -> int:
        """Until when this request is throttled, 0 where it is not."""
        for matches, until in self._numbered:
            if until > now_ms and matches(exchange):
                return until
        if self._default is not None:
            leaves_out, until = self._default
            if until > now_ms and not leaves_out(exchange):
                return until
        return 0


def enabled_kinds(settings: Throttling) -> frozenset[str]:
    """The kinds of conditions, beside addresses, that the settings have looked at."""
    wanted = {
        "header": settings.enable_header_conditions,
        "query": settings.enable_query_param_conditions,
        "claim": settings.enable_jwt_claim_conditions,
    }
    return frozenset(kind for kind, is_wanted in wanted.items() if is_wanted)


def link(groups: tuple[Group, ...], settings: Throttling, known: Compiled) -> tuple[Compiled, dict[str, GroupSet]]:
    """The groups by their key; `known` is what was compiled before, of which the still used stays."""
    compiled: Compiled = {}
    by_key: dict[str, list[Group]] = {}
    for group in groups:
        text = group.conditions
        if text not in compiled:
            compiled[text] = known.get(text) or _compile(text, settings)
        by_key.setdefault(group.key, []).append(group)
    return compiled, {key: _order(found, compiled) for key, found in by_key.items()}


def _order(groups: list[Group], compiled: Compiled) -> GroupSet:
    numbered = sorted((group for group in groups if group.name != DEFAULT), key=_number)
    default = [group for group in groups if group.name == DEFAULT]
    return GroupSet(
        [(compiled[group.conditions], group.until) for group in numbered],
        (compiled[default[0].conditions], default[0].until) if default else None,
    )


def _number(group: Group) -> int:
    return int(group.name.rpartition("_")[2])


def _compile(text: str, settings: Throttling) -> Matcher:
    """Whether one of the alternatives holds for a request; the steward has read the text before, so it can be read."""
    if not text:
        return _nobody
    try:
        read = condition_messages.parse(text, enabled_kinds(settings))
    except UnreadableError:
        return _nobody
    alternatives = tuple(tuple(conditions.link(condition) for condition in item) for item in read)

    def matches(exchange: Exchange) -> bool:
        return any(all(check(exchange) for check in item) for item in alternatives)

    return matches


def _nobody(_exchange: Exchange) -> bool:
    return False
