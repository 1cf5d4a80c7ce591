"""The code blocks of the documents: settings load, descriptions build, commands exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import pytest
import yaml

from harness.pages import blocks, links
from harness.sources import ROOT, name_of
from microgate.cli import gateway, main, micro_gw
from microgate.cli.declaration import build_parser
from microgate.diagnostics import Report
from microgate.settings.load import Sources, load
from microgate.toolkit.compiler import compile_description
from microgate.toolkit.openapi.folder import Folder
from microgate.toolkit.project.policies import file as policies_file
from microgate.toolkit.project.policies import keys

RECIPES = ("docs/throttling/index.md", "docs/throttling/policies.md", "docs/throttling/recipes.md")
POLICY_LISTS = {*keys.LEVELS, keys.BLOCKS}


def _named(found):
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in found]


def test_links_lead_somewhere():
    dead = [f"{name_of(page)}: {target}" for page, target in links() if not (page.parent / target).exists()]
    assert not dead


@pytest.mark.parametrize("block", _named(blocks("toml")))
def test_settings_of_the_documents_load(block, tmp_path):
    file = tmp_path / "micro-gw.conf"
    file.write_text(block.text, encoding="utf-8")
    assert tomllib.loads(block.text)
    environ = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", block.text), "secret")
    load(Sources(file=file, environ=environ, overrides=(), strict=True))


@pytest.mark.parametrize("block", _named(blocks("yaml")))
def test_descriptions_of_the_documents_build(block, tmp_path):
    """A whole description builds as it is; a fragment of one builds inside a plain description."""
    document = yaml.safe_load(block.text)
    if {"about", "apis"} & set(document) or block.page in RECIPES:
        return  # a wire case, or a recipe (test_recipes.py)
    if POLICY_LISTS & set(document):
        assert not _mistakes_of_policies(block.text, tmp_path)
        return
    if not {"openapi", "swagger"} & set(document):
        document = {
            "openapi": "3.0.3",
            "info": {"title": "t", "version": "1"},
            "servers": [{"url": "http://127.0.0.1:1"}],
            "paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}}},
        } | document
    file = tmp_path / "api.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    report = Report()
    plan = compile_description(file, report)
    assert plan is not None, report.diagnostics


def _mistakes_of_policies(text, folder):
    (folder / "policies.yaml").write_text(text, encoding="utf-8")
    report = Report()
    policies_file.read(Folder(folder), report)
    return report.diagnostics


def _commands():
    for block in blocks("sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "microgate":
                yield pytest.param(words[1:], id=f"{block.page}:{line}")


@pytest.mark.parametrize("words", list(_commands()))
def test_commands_of_the_documents_parse(words):
    command = main.load(main.SYNONYMS.get(words[0], words[0]))
    assert build_parser(main.PROGRAM, command).parse_args(words[1:])


def test_the_other_two_commands_exist():
    assert callable(micro_gw.main)
    assert callable(gateway.main)


def test_targets_that_the_documents_name_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for block in blocks("sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "make":
                assert f"\n{words[1]}:" in makefile, line
