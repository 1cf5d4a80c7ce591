"""The pages on limits: every recipe builds as it stands, each a whole policies.yaml with what its text puts beside it."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from harness.sources import ROOT
from microgate.diagnostics import Report
from microgate.toolkit.compiler import compile_project
from microgate.toolkit.project.policies import keys

PAGES = ("docs/throttling/index.md", "docs/throttling/policies.md", "docs/throttling/recipes.md")
LISTS = {*keys.LEVELS, keys.BLOCKS}


def _recipes():
    """The YAML blocks below one heading, with that heading."""
    for page in PAGES:
        for section in re.split(r"^##? ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            found = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
            if found:
                yield pytest.param(found, id=f"{page}:{section.splitlines()[0]}")


@pytest.mark.parametrize("found", list(_recipes()))
def test_recipes_build_without_a_word(found, tmp_path):
    (tmp_path / "api_definitions").mkdir()
    description = {
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "1"},
        "servers": [{"url": "http://127.0.0.1:1/shop"}],
        "paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}}},
    }
    for text in found:
        document = yaml.safe_load(text)
        if LISTS & set(document):
            (tmp_path / "policies.yaml").write_text(text, encoding="utf-8")
        elif "applications" in document:
            (tmp_path / "subscriptions.yaml").write_text(text, encoding="utf-8")
        else:
            description |= document
    (tmp_path / "api_definitions" / "shop.json").write_text(json.dumps(description), encoding="utf-8")
    report = Report()
    plan = compile_project(tmp_path, report)
    assert not report.diagnostics
    assert plan.policies or plan.blocks
    named = {plan.apis[0].tier, *(operation.tier for operation in plan.apis[0].operations)} - {""}
    assert named <= {policy.name for policy in plan.policies}
    assert (tmp_path / "policies.yaml").exists()
