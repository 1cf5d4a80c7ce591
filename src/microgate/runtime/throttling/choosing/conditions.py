"""Condition groups of a policy, linked: which group a request belongs to, by its fields, its query, its caller's claims and its
client's address.

What is not there matches nothing, and everything when inverted. Of several values any one suffices, so that nobody leaves a
group by sending another value beside the one that put them there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from microgate import patterns
from microgate.runtime.address_ranges import Ranges, number_of
from microgate.runtime.throttling.choosing import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Condition, ConditionGroup
    from microgate.runtime.exchange import Exchange

    Check: TypeAlias = Callable[[Exchange], bool]

MAX_REMEMBERED = 4_096  # addresses
_MAX_KEPT = 64  # verdicts with one head
_MAX_SEARCHED = 64  # values of one name that are searched; in a request with more, nothing is found behind them


def compile(groups: tuple[ConditionGroup, ...]) -> Callable[[Exchange], int]:  # noqa: A001 - called through the module
    """The position of the first group whose conditions all hold for a request, -1 where there is none.

    Raises PatternError and ValueError for conditions that no build lets pass.
    """
    chosen = tuple(
        (position, tuple(link(condition) for condition in group.conditions)) for position, group in enumerate(groups)
    )

    def choose(exchange: Exchange) -> int:
        for position, checks in chosen:
            for check in checks:
                if not check(exchange):
                    break
            else:
                return position
        return -1

    return choose


def link(condition: Condition) -> Check:
    """The check of one condition."""
    if condition.kind == "address":
        return _of_address(Ranges(condition.networks), invert=condition.invert)
    find = patterns.compile(condition.pattern)
    if condition.kind == "header":
        return _of_header(condition.name.lower().encode(), find, invert=condition.invert)
    if condition.kind == "query":
        return _of_query(condition.name.encode(), find, invert=condition.invert)
    assert condition.kind == "claim"
    return _of_claim(condition.name, find, invert=condition.invert)


def _of_header(name: bytes, find: Callable[[bytes], bool], *, invert: bool) -> Check:
    def check(exchange: Exchange) -> bool:
        derived: dict[object, Any] | None = exchange.derived
        if derived is None:
            return _any(find, values.of_header(exchange, name)) is not invert
        # The same head comes again and again on a connection; its verdict is kept with it.
        verdict: bool | None = derived.get(check)
        if verdict is None:
            verdict = _any(find, values.of_header(exchange, name)) is not invert
            if len(derived) < _MAX_KEPT:
                derived[check] = verdict
        return verdict

    return check


def _of_query(name: bytes, find: Callable[[bytes], bool], *, invert: bool) -> Check:
    def check(exchange: Exchange) -> bool:
        return _any(find, values.of_query(exchange, name)) is not invert

    return check


def _of_claim(name: str, find: Callable[[bytes], bool], *, invert: bool) -> Check:
    def check(exchange: Exchange) -> bool:
        return _any(find, values.of_claim(exchange, name)) is not invert

    return check


def _of_address(ranges: Ranges, *, invert: bool) -> Check:
    remembered: dict[str, bool] = {}

    def check(exchange: Exchange) -> bool:
        client = exchange.client
        verdict = remembered.get(client)
        if verdict is None:
            number = number_of(client)
            verdict = (number is not None and number in ranges) is not invert
            if len(remembered) >= MAX_REMEMBERED:
                remembered.clear()
            remembered[client] = verdict
        return verdict

    return check


def _any(find: Callable[[bytes], bool], found: list[bytes]) -> bool:
    """Whether one of the values has it. The bytes of all together are within what one value may have."""
    if len(found) == 1:
        return find(found[0])
    left = patterns.MAX_VALUE_BYTES
    for value in found[:_MAX_SEARCHED]:
        left -= len(value)
        if left >= 0 and find(value):
            return True
    return False
