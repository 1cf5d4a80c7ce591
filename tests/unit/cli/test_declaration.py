"""What is typed becomes arguments, or one line that says what could have been meant."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgate.cli import main
from microgate.cli.declaration import build_parser
from microgate.errors import UsageError

COMMANDS = {name: main.load(name) for name in main.COMMANDS}
FLAGS = sorted({flag for command in COMMANDS.values() for option in command.options for flag in option.flags})


def _parse(name, *words):
    return vars(build_parser("microgate", COMMANDS[name]).parse_args(words))


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        (["init", "p", "-a", "x", "--api-definition", "y"], "api_definition", ["x", "y"]),
        (["init", "p"], "api_definition", []),
        (["init", "p", "-fk"], "force", True),
        (["run"], "target", "."),
        (["run", "x", "--set", "a=-1", "--set=b=2"], "set", ["a=-1", "b=2"]),
        (["run", "--workers", "0"], "workers", 0),
        (["run"], "workers", None),
        (["run", "--", "-odd"], "target", "-odd"),
        (["token"], "lifetime", 3600),
        (["token", "--lifetime=1"], "lifetime", 1),
        (["check"], "format", "text"),
        (["help"], "command", ""),
    ],
)
def test_arguments(words, attribute, value):
    assert _parse(*words)[attribute] == value


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["build"], "PROJECT is missing", "`microgate help build` shows what it takes"),
        (["build", "a", "b"], "unexpected argument `b`", "`microgate help build` shows what it takes"),
        (["run", "--confgi", "x"], "unknown option `--confgi`", "did you mean `--config`?"),
        (["run", "--confgi=x"], "unknown option `--confgi=x`", "did you mean `--config`?"),
        (["run", "--conf", "x"], "unknown option `--conf`", "did you mean `--config`?"),
        (["run", "--workers", "-1"], "option `--workers`: `-1` is not a whole number from 0 to 1024", None),
        (["run", "--workers", "9" * 5000], "option `--workers`", None),
        (["run", "--workers", "\u0661"], "is not a whole number", None),
        (["check", "--format", "yaml"], "`yaml` is not possible for `--format`", "choose from text, json, sarif"),
        (["completion", "fish"], "`fish` is not possible for `SHELL`", "choose from bash, zsh, tcsh"),
        (["run", "--set"], "option `--set` needs a value", None),
        (["run", "--dev=1"], "option `--dev` takes no value", None),
    ],
)
def test_mistakes(words, said, hint):
    with pytest.raises(UsageError) as caught:
        _parse(*words)
    assert said in str(caught.value)
    assert hint is None or caught.value.hint == hint


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(sorted(COMMANDS)),
    st.lists(st.one_of(st.sampled_from([*FLAGS, "--", "-", "x", "0"]), st.text(max_size=8)), max_size=6),
)
def test_anything_typed_is_arguments_or_one_line(name, words):
    with contextlib.suppress(UsageError):
        _parse(name, *words)


def test_every_command_declares_itself_whole():
    for name, command in COMMANDS.items():
        assert command.name == name
        assert command.summary[0].islower() or command.summary.startswith("`")
        assert not command.summary.endswith(".")
        for option in command.options:
            assert option.text
            assert not option.text.endswith(".")
