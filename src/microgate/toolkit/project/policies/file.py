"""Reads policies.yaml (WSO2 §4, and what this gateway adds): the policies of each level and who is shut out. Which of them an API
uses, and whether that can work, is the compiler's business (`rules/policies.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.plan.model import Allowance, Policy
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.cursor import Cursor
from microgate.toolkit.openapi.document import whole_file
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project import layout
from microgate.toolkit.project.policies import allowances, blocks, conditions, templates, weights
from microgate.toolkit.project.policies.keys import BLOCKS, LEVELS, UNLIMITED, most
from microgate.toolkit.project.policies.values import Values

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.plan.model import Block
    from microgate.toolkit.openapi.cursor import Located
    from microgate.toolkit.openapi.folder import Folder

NEARLY = ("policies.yml", "policies.json")


@dataclass
class PoliciesFile:
    """What the file says. A policy that was reported is there as well, so that what names it is not reported too."""

    levels: dict[str, dict[str, Policy]] = field(default_factory=dict)  # level -> name -> policy
    blocks: list[Located[Block]] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)  # levels of which nothing is known, which was reported

    def of(self, level: str) -> dict[str, Policy]:
        return self.levels.get(level, {})


def read(folder: Folder, report: Report) -> PoliciesFile:
    """The file of a project; empty where there is none."""
    found = PoliciesFile()
    path = folder.root / layout.POLICIES
    if not path.exists():
        # Limits and blocks that nobody reads would be left out in silence.
        for name in NEARLY:
            if (folder.root / name).exists():
                message = f"is not read: policies are in `{layout.POLICIES}`"
                report.add(whole_file(catalogue.POLICY_VALUE, message, name, "rename the file"))
                found.unread.update(LEVELS.values())
        return found
    document = folder.read(path, report, may_be_empty=True)
    if document is None or document.root is None:
        found.unread.update(LEVELS.values())
        return found
    root = Cursor(document, document.root)
    if root.kind == "null":
        return found
    if not root.is_mapping:
        report.add(root.spot.diagnostic(catalogue.POLICY_VALUE, f"`{layout.POLICIES}` must be a mapping of lists"))
        found.unread.update(LEVELS.values())
    values = Values(report)
    known = (*LEVELS, BLOCKS)
    for key, member in values.members(root):
        if key not in known:
            hint = did_you_mean(key, known, f"known keys: {', '.join(known)}")
            report.add(member.key_spot.diagnostic(catalogue.POLICY_VALUE, f"unknown key `{shown(key)}`", hint))
        elif member.kind == "null":
            continue
        elif key == BLOCKS:
            found.blocks.extend(blocks.read(member, values))
        else:
            if not member.is_list:
                found.unread.add(LEVELS[key])
            found.levels[LEVELS[key]] = _read_level(LEVELS[key], member, values)
    return found


def _read_level(level: str, cursor: Cursor, values: Values) -> dict[str, Policy]:
    policies: dict[str, Policy] = {}
    places: dict[str, str] = {}
    for name, member in values.entries(cursor, f"{level} policies", most(level)):
        if not values.name_is_good(name, member):
            continue
        if name in places or name == UNLIMITED:
            first = (
                f"twice; first at {places[name]}" if name in places else "already: it is built in and means no limit"
            )
            message = f"the {level} policy `{shown(name)}` is defined {first}"
            values.report.add(member.key_spot.diagnostic(catalogue.DUPLICATE_POLICY, message))
            continue
        places[name] = member.key_spot.where
        policies[name] = _read_policy(level, name, member, values)
    return policies


def _read_policy(level: str, name: str, cursor: Cursor, values: Values) -> Policy:
    shape = "custom" if level == "custom" else "policy"
    if not values.opened(cursor, shape):
        return Policy(level=level, name=name, allowance=Allowance())
    window_s = values.window_s(cursor)
    allowance = allowances.read(cursor, values, window_s)
    groups, weighed = cursor.get("conditions"), cursor.get("weights")
    policy = Policy(
        level=level,
        name=name,
        allowance=allowance,
        stop_on_quota=_stops(level, cursor, values),
        groups=() if groups is None else conditions.read(groups, values, window_s),
        weights=() if weighed is None else weights.read(weighed, values),
        shadow=values.flag(cursor, "shadow"),
        store=values.word(cursor, "policy", "store"),
        key_template=_template(level, cursor, values),
    )
    _check(policy, cursor, values)
    return policy


def _stops(level: str, cursor: Cursor, values: Values) -> bool:
    """WSO2 §4 honours the key in subscription policies alone; in others it was, and is, without effect."""
    stops = values.flag(cursor, "stopOnQuota", otherwise=True)
    if stops or level == "subscription":
        return stops
    member = cursor.get("stopOnQuota")
    assert member is not None
    message = f"`stopOnQuota: false` has no effect in {level}Policies: the limit holds"
    values.say(
        member, catalogue.POLICY_WITHOUT_EFFECT, message, "remove it, or use `shadow: true`, which refuses nothing"
    )
    return True


def _template(level: str, cursor: Cursor, values: Values) -> str:
    if level != "custom":
        return ""
    template = cursor.get("keyTemplate")
    if template is None:
        values.missing(cursor, "keyTemplate", "add who shares one allowance, as in `keyTemplate: $userId:$apiContext`")
        return ""
    return templates.read(template, values)


def _check(policy: Policy, cursor: Cursor, values: Values) -> None:
    """Parts of a policy that cannot be meant together."""
    all_allowances = [policy.allowance, *(group.allowance for group in policy.groups)]
    if not allowances.is_said(cursor) and cursor.get("conditions") is None:
        values.missing(cursor, "count", "a policy has an allowance: `count`, `burst`, `concurrency` or `bandwidth`")
    if policy.store == "strict":
        for part in ("concurrency", "bandwidth"):
            if any(getattr(allowance, part) is not None for allowance in all_allowances):
                message = f"`{part}` is counted on each node, which contradicts `store: strict`"
                hint = f"remove one of the two; `store: fast` leaves `{part}` to each node"
                values.say(cursor, catalogue.POLICY_CONTRADICTION, message, hint)
        if policy.weights:
            message = (
                "`weights` changes what was counted, which contradicts `store: strict`: there each decision is final"
            )
            values.say(cursor, catalogue.POLICY_CONTRADICTION, message, "remove one of the two, or use `store: fast`")
    if policy.weights and not any(allowance.quota or allowance.burst for allowance in all_allowances):
        message = "`weights` has no effect without `count` or `burst`"
        values.say(cursor, catalogue.POLICY_WITHOUT_EFFECT, message, "remove it")
