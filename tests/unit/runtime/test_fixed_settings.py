"""Settings that a reload cannot change are named once, never with their values."""

from __future__ import annotations

import logging

import msgspec
import pytest

from microgate.runtime.fixed_settings import FIXED, FixedSettings
from microgate.settings.model import Settings


def settings(**sections: object) -> Settings:
    return msgspec.convert(sections, Settings)


@pytest.mark.parametrize("key", FIXED)
def test_every_key_is_spelled_as_in_the_file_and_is_noticed(key: str, caplog: pytest.LogCaptureFixture):
    section, _, name = key.partition(".")
    other: object = 7
    if key == "listenerConfig.certificates":
        other = [{"certificateFile": "a", "privateKeyFile": "b"}]
    elif key == "b7a.log.level":
        name, other = "log", {"level": "DEBUG"}
    elif isinstance(msgspec.to_builtins(Settings())[section][name], str):
        other = "changed-value"
    elif isinstance(msgspec.to_builtins(Settings())[section][name], bool):
        other = not msgspec.to_builtins(Settings())[section][name]
    FixedSettings(Settings()).compare(settings(**{section: {name: other}}))
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"changed settings that only a restart brings into force: {key}"


def test_all_are_in_one_line_which_is_said_once_until_it_is_another(caplog: pytest.LogCaptureFixture):
    fixed = FixedSettings(settings(listenerConfig={"httpPort": 1}))
    changed = settings(listenerConfig={"httpPort": 2}, runtimeConfig={"workers": 3})
    fixed.compare(changed)
    fixed.compare(changed)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "listenerConfig.httpPort, runtimeConfig.workers"
    ]
    fixed.compare(settings(listenerConfig={"httpPort": 1}, accessLogConfig={"format": "off"}))
    fixed.compare(changed)
    assert len(caplog.records) == 2
