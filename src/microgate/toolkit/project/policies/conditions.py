"""Condition groups of a policy: which requests have an allowance of their own. What is asked in one group holds together; of
several groups the first decides.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from microgate.plan.model import Condition, ConditionGroup
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import FIELD_NAME
from microgate.toolkit.project.policies import allowances, networks, patterns
from microgate.toolkit.project.policies.keys import MAX_CONDITIONS, MAX_GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values

KINDS = ("header", "query", "claim")
DEFAULT = "default"  # what the values of the policy itself are called


def read(cursor: Cursor, values: Values, window_s: int) -> tuple[ConditionGroup, ...]:
    """The groups in their order; windows that say nothing are as long as the policy's."""
    found: dict[str, ConditionGroup] = {}
    places: dict[str, str] = {}
    if cursor.is_list and not any(cursor.items()):
        values.wrong(cursor, "a list with at least one item", found="an empty one")
    for name, member in values.entries(cursor, "groups", MAX_GROUPS):
        if not values.name_is_good(name, member):
            continue
        if name in places or name == DEFAULT:
            first = f"twice; first at {places[name]}" if name in places else "by the policy itself"
            message = f"the group `{shown(name)}` is defined {first}"
            values.report.add(member.key_spot.diagnostic(catalogue.DUPLICATE_POLICY, message, "choose another name"))
            continue
        places[name] = member.key_spot.where
        if values.opened(member, "group"):
            found[name] = _group(name, member, values, window_s)
    return tuple(found.values())


def _group(name: str, cursor: Cursor, values: Values, window_s: int) -> ConditionGroup:
    when = cursor.get("when")
    conditions: list[Condition] = []
    if when is None:
        values.missing(cursor, "when", "a group says which requests are its own")
    else:
        conditions = _conditions(when, values)
    allowance = allowances.read(cursor, values, values.window_s(cursor, window_s))
    if not allowances.is_said(cursor):
        values.missing(cursor, "count", "a group has an allowance: `count`, `burst`, `concurrency` or `bandwidth`")
    return ConditionGroup(name=name, conditions=tuple(conditions), allowance=allowance)


def _conditions(when: Cursor, values: Values) -> list[Condition]:
    places = values.items(when) if when.is_list else [when]
    found: list[Condition] = []
    for place in values.first(places, "conditions in one group", MAX_CONDITIONS):
        before = len(found), len(values.report.diagnostics)
        if values.opened(place, "when"):
            found.extend(_of_mapping(place, values))
            if (len(found), len(values.report.diagnostics)) == before:
                hint = "name `header`, `query`, `claim` or `address`"
                values.wrong(place, "a mapping with a condition", hint, "one without")
    if len(found) > MAX_CONDITIONS:
        values.say(when, catalogue.POLICY_VALUE, f"there are more than {MAX_CONDITIONS} conditions in one group")
    return found


def _of_mapping(cursor: Cursor, values: Values, *, turned: bool = False) -> Iterator[Condition]:
    """The conditions of one mapping; `turned` where it stands under `not`."""
    invert = values.flag(cursor, "invert") != turned
    for kind in KINDS:
        member = cursor.get(kind)
        if member is not None:
            yield from _patterns(kind, member, values, invert=invert)
    address = cursor.get("address")
    if address is not None:
        yield Condition(kind="address", networks=networks.read(address, values), invert=invert)
    below = cursor.get("not")
    if below is None:
        return
    if below.get("not") is not None or below.get("invert") is not None:
        values.wrong(
            below, "a mapping without `not` and `invert`", "say each condition once, as it is meant", "one with them"
        )
    elif values.opened(below, "when"):
        yield from _of_mapping(below, values, turned=True)


def _patterns(kind: str, cursor: Cursor, values: Values, *, invert: bool) -> Iterator[Condition]:
    if not cursor.is_mapping:
        values.wrong(cursor, "a mapping of names to patterns", f"write `{kind}: {{NAME: PATTERN}}`")
        return
    seen: set[str] = set()
    for name, member in islice(values.members(cursor), MAX_CONDITIONS + 1):
        told = name.lower() if kind == "header" else name
        if kind == "header" and not FIELD_NAME.fullmatch(name):
            message = f"`{shown(name)}` is no name of a header"
            values.report.add(member.key_spot.diagnostic(catalogue.POLICY_VALUE, message))
        elif told in seen:
            message = f"`{shown(name)}` stands twice: names of headers are the same whatever their case"
            values.report.add(member.key_spot.diagnostic(catalogue.POLICY_VALUE, message))
        elif values.name_is_good(name, member):
            seen.add(told)
            yield Condition(kind=kind, name=told, pattern=patterns.read(member, values), invert=invert)
