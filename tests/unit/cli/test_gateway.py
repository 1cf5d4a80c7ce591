"""The launcher's words and its configuration file, as the scripts of 3.x took them."""

from __future__ import annotations

import pytest

from microgate.cli.gateway import configuration_file, take_apart
from microgate.errors import SettingsError, UsageError


@pytest.mark.parametrize(
    ("words", "path", "word", "settings"),
    [
        ("x.jar", "x.jar", "", []),
        ("x.jar start", "x.jar", "start", []),
        ("x.jar -start", "x.jar", "start", []),
        ("--restart x.jar", "x.jar", "restart", []),
        ("stop", "", "stop", []),
        ("--version", "", "version", []),
        ("x.jar --a.b.c=v=w --d=", "x.jar", "", [("a.b.c", "v=w"), ("d", "")]),
        ("x.jar --start=1", "x.jar", "", [("start", "1")]),
        ("x.jar --debug 5005 start", "x.jar", "start", []),
        ("x.jar -debug", "x.jar", "", []),
    ],
)
def test_words(words, path, word, settings):
    line = take_apart(words.split(" "))
    assert (line.path, line.word, line.settings) == (path, word, settings)


@pytest.mark.parametrize("words", ["x.jar y.jar", "x.jar --nonsense", "x.jar test", "x.jar ---stop", "x.jar -", "--=1"])
def test_words_that_mean_nothing(words):
    with pytest.raises(UsageError):
        take_apart(words.split(" "))


def test_the_configuration_file_in_force(tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    file = conf / "micro-gw.conf"
    assert configuration_file({}, {}) is None
    assert configuration_file({}, {"MGW_HOME": str(tmp_path)}) is None
    with pytest.raises(SettingsError, match=r"there is no micro-gw\.conf in"):
        configuration_file({}, {"MGW_CONF_DIR": str(conf)})
    file.touch()
    assert configuration_file({}, {"MGW_CONF_DIR": str(conf)}) == file
    assert configuration_file({}, {"MGW_HOME": str(tmp_path)}) == file
    assert configuration_file({"b7a.config.file": "other"}, {"MGW_CONF_DIR": str(conf)}).name == "other"
    with pytest.raises(SettingsError, match="MGW_CONF_DIR"):
        configuration_file({}, {"MGW_CONF_DIR": str(tmp_path / "missing")})
