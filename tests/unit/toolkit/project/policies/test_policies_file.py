"""policies.yaml as a hostile hand would write it: whatever stands in it, the answer is short, soon there, and names the place.
What plain files mean is shown in tests/compile.
"""

from __future__ import annotations

import re
import time
from textwrap import indent

import pytest

from microgate.diagnostics import Report
from microgate.plan.model import Allowance, Burst, Policy, Quota
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project.policies import file, keys
from microgate.toolkit.project.stubs import STUBS

ONE = "{count: 5, unitTime: 1, timeUnit: min}"
MANY, MORE = 30_000, 11_000

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


def read(folder, text):
    (folder / "policies.yaml").write_text(text, encoding="utf-8")
    report = Report()
    began = time.monotonic()
    found = file.read(Folder(folder), report)
    assert time.monotonic() - began < 30
    return found, [(one.code, one.line) for one in report.diagnostics], report


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "null", "resourcePolicies:\n", "resourcePolicies: []\n"])
def test_a_file_without_policies_is_none(tmp_path, text):
    found, codes, _ = read(tmp_path, text)
    assert (found.of("resource"), found.blocks, codes) == ({}, [], [])


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [
        *keys.SECONDS.items(),
        *((word.upper(), seconds) for word, seconds in keys.SECONDS.items()),
        *((word, 1) for word in ("secs", "second", "Seconds")),
    ],
)
def test_every_unit_whatever_its_case(tmp_path, unit, seconds):
    found, codes, _ = read(tmp_path, f"resourcePolicies: [A: {{count: 5, unitTime: 3, timeUnit: {unit}}}]")
    assert codes == []
    assert found.of("resource")["A"].allowance == Allowance(quota=Quota(5, 3 * seconds))


@pytest.mark.parametrize(
    ("size", "number"),
    [("1", 1), ("10B", 10), ("10kB", 10_000), ("10KB", 10_000), ("3 MiB", 3 * 2**20), ("1GB", 10**9), ("8TiB", 2**43)],
)
def test_sizes(tmp_path, size, number):
    found, codes, _ = read(
        tmp_path, f"resourcePolicies: [A: {{bandwidth: {{bytes: {size}, unitTime: 1, timeUnit: sec}}}}]"
    )
    assert codes == []
    assert found.of("resource")["A"].allowance.bandwidth.bytes == number


def test_a_burst_alone_fills_at_the_rate_of_its_quota(tmp_path):
    own = "{burst: {size: 7, count: 1, unitTime: 2, timeUnit: sec}}"
    text = f"resourcePolicies: [A: {{count: 60, unitTime: 1, timeUnit: min, burst: 7}}, B: {own}]"
    found, codes, _ = read(tmp_path, text)
    assert codes == []
    assert [policy.allowance.burst for policy in found.of("resource").values()] == [Burst(7, 60, 60), Burst(7, 1, 2)]


def test_what_was_reported_is_known_nevertheless(tmp_path):
    """Else each tier that names it would be reported as well."""
    found, codes, _ = read(tmp_path, "resourcePolicies: [A: {count: -1, unitTime: 1, timeUnit: min}]")
    assert codes == [("MG150", 1)]
    assert list(found.of("resource")) == ["A"]


LONG_LISTS = {
    "policies": ("resourcePolicies:\n", lambda n: f"  - P{n}: {ONE}\n", 2 + keys.MAX_POLICIES),
    "custom policies": (
        "customPolicies:\n",
        lambda n: f"  - P{n}: {{keyTemplate: $userId, count: 5, unitTime: 1, timeUnit: min}}\n",
        2 + keys.MAX_CUSTOM,
    ),
    "groups": (
        "resourcePolicies:\n  - A:\n      count: 5\n      unitTime: 1\n      timeUnit: min\n      conditions:\n",
        lambda n: f"        - g{n}: {{when: {{header: {{A: b}}}}, count: 5}}\n",
        7 + keys.MAX_GROUPS,
    ),
    "blocks": ("blockingConditions:\n", lambda n: f"  - user: u{n}\n", 2 + keys.MAX_BLOCKS),
    "addresses": (
        "blockingConditions:\n  - addresses:\n",
        lambda n: f"    - 10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n",
        3 + keys.MAX_NETWORKS,
    ),
}


@pytest.mark.parametrize("name", LONG_LISTS)
def test_a_list_that_is_too_long_is_one_answer(tmp_path, name):
    head, item, line = LONG_LISTS[name]
    _, codes, report = read(tmp_path, head + "".join(map(item, range(MANY if name == "policies" else MORE))))
    assert codes == [("MG150", line)]
    assert "there are more than " in report.diagnostics[0].message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("resourcePolicies: " + "[" * 100_000, "MG006"),
        ("resourcePolicies: " + "{a: " * 100_000, "MG006"),
        (BOMB, "MG007"),
        ("resourcePolicies: *nowhere", "MG007"),
        ("resourcePolicies: !!python/object:os.system [ls]", "MG009"),
        ("a: 1\0", "MG002"),
        ("- A: " + ONE, "MG150"),
        ("A" * 10_000_000, "MG150"),
        ("resourcePolicies:\n  - A: {count: " + "9" * 5000 + "}", "MG010"),
    ],
    ids=["lists", "mappings", "bomb", "no anchor", "tag", "nul", "list", "10 MB word", "long number"],
)  # fmt: skip
def test_texts_that_attack_the_reader_are_one_answer(tmp_path, text, code):
    _, codes, _ = read(tmp_path, text)
    assert [found for found, _ in codes] == [code]


@pytest.mark.parametrize("name", ["x" * 1_000, "\\u0007bell", "x" * 201, " "], ids=["1000", "bell", "201", "blank"])
def test_names_that_are_none(tmp_path, name):
    _, codes, report = read(tmp_path, f'resourcePolicies:\n  - {{"{name}": {ONE}}}\n')
    assert [code for code, _ in codes] == ["MG150"]
    assert len(report.diagnostics[0].message) < 300


def test_aliases_that_would_multiply_the_work_stay_within_its_bounds(tmp_path):
    """What an alias stands for counts each time, so a small file is no way round the bounds on lists."""
    addresses = ", ".join(f"10.0.{n >> 8}.{n & 255}" for n in range(9_000))
    group = f"{{when: {{address: [{addresses}]}}, count: 5}}"
    text = f"resourcePolicies:\n  - A: &a {{count: 5, unitTime: 1, timeUnit: min, conditions: [g: {group}]}}\n"
    _, codes, _ = read(tmp_path, text + "".join(f"  - P{n}: *a\n" for n in range(1_000)))
    assert [code for code, _ in codes] == ["MG007"]


def _unknown_keys(count):
    return "{" + ", ".join(f"key{n}: 1" for n in range(count)) + "}"


@pytest.mark.parametrize(
    "text",
    [
        _unknown_keys(20_000),
        f"resourcePolicies: [A: {_unknown_keys(20_000)}]",
        "resourcePolicies:\n" + "".join(f"  - P{n}: {{count: 0, unitTime: 0}}\n" for n in range(5_000)),
        "resourcePolicies:\n" + "  - x\n" * 5_000,
        "blockingConditions: [address: [" + "here, " * 9_000 + "]]",
        f"resourcePolicies: [A: {{weights: {_unknown_keys(5_000)}}}]",
        f"resourcePolicies: [A: {{count: 1, conditions: [g: {{when: {{claim: {_unknown_keys(5_000)}}}}}]}}]",
    ],
    ids=["keys", "keys of a policy", "policies", "items", "addresses", "weights", "claims"],
)
def test_thousands_of_mistakes_are_not_all_told(tmp_path, text):
    _, codes, report = read(tmp_path, text)
    assert 1 < len(codes) <= keys.MAX_FINDINGS + 10
    assert sum("the file is not read from here on" in one.message for one in report.diagnostics) <= 1


def test_what_the_stub_mentions_is_read(tmp_path):
    """Each addition in its comments, alone in a policy or in its list."""
    comments = [line.removeprefix("# ") for line in STUBS["policies.yaml"].splitlines() if line.startswith("# ")]
    additions = "\n".join(line for line in comments if line.startswith("  ") and not line.startswith("  - "))
    for part in re.split(r"\n(?=  \w)", additions):
        text = f"resourcePolicies:\n- A:\n    count: 100\n    unitTime: 1\n    timeUnit: min\n{indent(part, '  ')}\n"
        found, codes, _ = read(tmp_path, text)
        assert codes == []
        assert found.of("resource")["A"] != Policy("resource", "A", Allowance(quota=Quota(100, 60)))
    lists = "\n".join(line for line in comments if re.match(r"(customPolicies|blockingConditions):|  - ", line))
    found, codes, _ = read(tmp_path, lists)
    assert codes == []
    assert (list(found.of("custom")), len(found.blocks)) == (["PerUser"], 1)
