"""Development keys: made once, for their owner alone, and good for the runtime's own verifier."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import pytest

from microgate.cli import development_keys


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "microgate"


def test_private_halves_are_never_in_the_public_file():
    keys = json.loads(development_keys.key_set_file().read_bytes())["keys"]
    assert [key["alg"] for key in keys] == ["RS256", "ES256"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & {member for key in keys for member in key}


def test_modes_hold_whatever_the_umask(state):
    before = os.umask(0)
    try:
        development_keys.key_set_file()
    finally:
        os.umask(before)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}


def test_the_same_keys_again_and_a_damaged_public_file_is_made_anew(state):
    first = development_keys.key_set_file().read_bytes()
    (state / development_keys.KEY_SET).write_bytes(b"{")
    assert development_keys.key_set_file().read_bytes() == first


def test_two_programs_that_make_keys_at_once_agree(state):
    script = "from microgate.cli import development_keys as d; print(d.key_set_file().read_text())"
    started = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(4)]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1
    assert sorted(file.name for file in state.iterdir()) == [
        "development-es256.pem",
        "development-keys.json",
        "development-rs256.pem",
    ]
