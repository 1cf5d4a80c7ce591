"""Reads policies.yaml (WSO2 §4): rate-limit policies for resources, applications and subscriptions. Which of them an API
uses is the compiler's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import Allowance, Policy, Quota
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import Reader
from microgate.toolkit.project import layout

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.folder import Folder

LEVELS = {"resourcePolicies": "resource", "applicationPolicies": "application", "subscriptionPolicies": "subscription"}
SECONDS = {
    "min": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "year": 365 * 86_400,
}
KEYS = ("count", "unitTime", "timeUnit", "stopOnQuota")


def read(folder: Folder, report: Report) -> dict[str, dict[str, Policy]]:
    """The policies of a project, by level and name; levels without any are absent."""
    path = folder.root / layout.POLICIES
    if not path.exists():
        return {}
    document = folder.read(path, report, may_be_empty=True)
    if document is None or document.root is None:
        return {}
    root = Cursor(document, document.root)
    reader = Reader(report, catalogue.POLICY_VALUE)
    found: dict[str, dict[str, Policy]] = {}
    if root.kind == "null":
        return {}
    if not root.is_mapping:
        report.add(root.spot.diagnostic(catalogue.POLICY_VALUE, f"`{layout.POLICIES}` must be a mapping of lists"))
    for key, member in root.members():
        if key not in LEVELS:
            message = f"unknown key `{shown(key)}`"
            hint = did_you_mean(key, LEVELS, f"known keys: {', '.join(LEVELS)}")
            report.add(member.key_spot.diagnostic(catalogue.POLICY_VALUE, message, hint))
        elif member.kind != "null":
            found[LEVELS[key]] = _read_level(LEVELS[key], member, reader)
    return found


def _read_level(level: str, cursor: Cursor, reader: Reader) -> dict[str, Policy]:
    policies: dict[str, Policy] = {}
    places: dict[str, str] = {}
    if not cursor.is_list:
        reader.wrong(cursor, "a list of policies", "write each as `- name: {count: …, unitTime: …, timeUnit: min}`")
    for item in cursor.items():
        members = list(item.members())
        if len(members) != 1:
            hint = "indent what belongs to the policy deeper than its name" if len(members) > 1 else ""
            found_kind = f"one with {len(members)}" if item.is_mapping else ""
            reader.wrong(item, "a mapping with one key, the name of the policy", hint, found_kind)
            continue
        name, member = members[0]
        if name in places:
            message = f"the {level} policy `{shown(name)}` is defined twice; first at {places[name]}"
            reader.report.add(member.key_spot.diagnostic(catalogue.DUPLICATE_POLICY, message))
            continue
        places[name] = member.key_spot.where
        policy = _read_policy(level, name, member, reader)
        if policy is not None:
            policies[name] = policy
    return policies


def _read_policy(level: str, name: str, cursor: Cursor, reader: Reader) -> Policy | None:
    if not reader.mapping(cursor, KEYS):
        return None
    values = {key: cursor.get(key) for key in KEYS}
    for key in KEYS[:3]:
        if values[key] is None:
            reader.missing(cursor, key)
            return None
    count, unit_time, unit, stop = values.values()
    assert count is not None
    assert unit_time is not None
    assert unit is not None
    number = reader.integer(count)
    length = reader.integer(unit_time, 1)
    word = reader.choice(unit, SECONDS)
    stops = True if stop is None else reader.boolean(stop)
    if number is None or length is None or word is None or stops is None:
        return None
    quota = Quota(count=number, window_s=length * SECONDS[word])
    return Policy(level=level, name=name, allowance=Allowance(quota=quota), stop_on_quota=stops)
