"""Policies files that nobody would write: the reader answers with policies or with mistakes that have a place, never otherwise.
What it takes is valid by the schema that is published.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.json_schemas import Schema
from microgate.diagnostics import Report
from microgate.toolkit.catalogue import CODES
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project.policies import file, keys
from microgate.toolkit.project.policies.schema import schema

if TYPE_CHECKING:
    from microgate.plan.model import Block, ConditionGroup, Policy

SCHEMA = Schema(schema())
TEXTS = st.text(max_size=6)
WRONG = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS, st.just([]), st.just({}))
NAMES = st.sampled_from(["A", "b", "default", "Unlimited", "Gold", "", "\0"]) | TEXTS
LIKELY = {
    "integer": st.integers(0, 5) | st.integers(2**31 - 2, 2**31) | st.sampled_from([keys.MAX_WINDOW_S]),
    "boolean": st.booleans(),
    "bytes": st.integers(0, 5) | st.sampled_from(["10MB", "10mb", "1 GiB", "8TiB", "9TiB", "0B", "1.5MB", "10"]),
    "text": st.sampled_from(["/a", "a:b", "alice", "/", ":"]) | TEXTS,
    "template": st.sampled_from(["$userId", "$claim.a:$header.b", "$claim", "$", "userId", "x"]) | TEXTS,
    "patterns": st.dictionaries(st.sampled_from(["A", "a", "a b", ""]), st.sampled_from(["a", "(", "(?i)a"]), max_size=3),
    "networks": st.sampled_from(["10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "10.0.0.2-10.0.0.1", "::1-::5", "here"])
    | st.lists(st.sampled_from(["10.0.0.1", "::/0", " 10.0.0.1 - 10.0.0.4 ", "", "a"]), max_size=3),
    "weights": st.dictionaries(st.sampled_from(["404", "5xx", "5XX", "600", "xx"]), st.integers(-1, 10_001), max_size=3),
}  # fmt: skip


def members(shape: str, depth: int) -> st.SearchStrategy:
    """A mapping with some of the keys of a shape, mostly with values of their kind."""
    if not depth:
        return WRONG
    declared = keys.SHAPES[shape]
    needed = {
        key.name: value_of(key, depth)
        for key in declared
        if key.needed or key.name in ("count", "unitTime", "timeUnit")
    }
    rest = {key.name: value_of(key, depth) for key in declared if key.name not in needed}
    whole = st.fixed_dictionaries(needed, optional=rest | {"extra": WRONG})
    few = st.dictionaries(st.sampled_from([key.name for key in declared]), WRONG, max_size=2)
    return st.one_of(whole, whole, few, st.fixed_dictionaries({}, optional=needed | rest))


def value_of(key: keys.Key, depth: int) -> st.SearchStrategy:
    if key.words:
        return st.sampled_from([*key.words, key.words[0].upper()])
    if key.kind == "groups":
        return named("group", depth - 1)
    if key.shape:
        below = members(key.shape, depth - 1)
        return st.one_of(below, st.lists(below, max_size=2) if key.kind == "when" else LIKELY["integer"])
    return LIKELY[key.kind]


def named(shape: str, depth: int) -> st.SearchStrategy:
    item = st.dictionaries(NAMES, members(shape, depth), min_size=1, max_size=1)
    return st.lists(item | WRONG if depth > 2 else item, max_size=2)


FILES = st.fixed_dictionaries(
    {},
    optional={name: named("custom" if level == "custom" else "policy", 4) for name, level in keys.LEVELS.items()}
    | {keys.BLOCKS: st.lists(members("block", 2), max_size=2), "resorcePolicies": WRONG},
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(FILES)
def test_whatever_stands_in_it(content):
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(content)
        (Path(folder) / "policies.yaml").write_text(text, encoding="utf-8")
        report = Report()
        found = file.read(Folder(Path(folder)), report)
    for one in report.diagnostics:
        assert one.code in CODES
        assert one.line == 1
        assert one.message.isprintable()
    if report.has_errors:
        return
    assert SCHEMA.allows(json.loads(text))
    for level, policies in found.levels.items():
        for name, policy in policies.items():
            assert (policy.level, policy.name) == (level, name)
            assert limits_something(policy)
    assert all(names_somebody(block.value) for block in found.blocks)


def limits_something(policy: Policy) -> bool:
    own = [policy.allowance, *(group.allowance for group in policy.groups)]
    return any(_is_limit(one) for one in own) and all(_is_whole(group) for group in policy.groups)


def _is_whole(group: ConditionGroup) -> bool:
    asked = all(one.networks if one.kind == "address" else one.pattern for one in group.conditions)
    return bool(group.conditions) and asked and _is_limit(group.allowance)


def _is_limit(allowance) -> bool:
    parts = (allowance.quota, allowance.burst, allowance.concurrency, allowance.bandwidth)
    windows = [one.window_s for one in (allowance.quota, allowance.burst, allowance.bandwidth) if one is not None]
    return any(part is not None for part in parts) and all(1 <= seconds <= keys.MAX_WINDOW_S for seconds in windows)


def names_somebody(block: Block) -> bool:
    return bool(block.networks if block.kind == "address" else block.value)
