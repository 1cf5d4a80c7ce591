"""Revocation through a function of the project, which takes the place of 3.x's own language."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from harness.credentials import mint
from harness.descriptions import BACKEND, describe
from harness.process import GatewayProcess
from harness.revoking import Guarded
from harness.waiting import wait_until

SETTINGS = (
    "[tokenRevocationConfig.persistent]\nenablePersistentStorageRetrieval = true\npollIntervalInMillis = 100\n"
    'type = "feed:revoked"\n'
)


@pytest.fixture
def guarded(tmp_path, backend):
    """A gateway whose project has this module extensions/feed.py."""
    with ExitStack() as running:

        def start(source, more="", settings=SETTINGS):
            def run(*descriptions, **options):
                folder = tmp_path / "gateway"
                extensions = folder / "project" / "extensions"
                extensions.mkdir(parents=True)
                (extensions / "feed.py").write_text(source)
                texts = [text.replace(BACKEND, backend.url) for text in descriptions]
                return running.enter_context(GatewayProcess(folder, texts, **options))

            # A second description makes a folder of the project.
            other = describe({"/b": ["get"]}, base="/other", title="other", secured=True)
            return Guarded(run, more + settings, other)

        yield start


def test_what_it_returns_is_revoked_and_what_it_no_longer_does_is_not(guarded, tmp_path):
    file = tmp_path / "revoked.txt"
    file.write_text("one\n")
    settings = SETTINGS + f'endpointURL = "https://{file.parent.name}.example"\nusername = "{file}"\n'
    source = "def revoked(settings):\n    print('not an entry')\n    return open(settings['username']).read().split()\n"
    running = guarded(source, "", f"{settings}[server]\ntimestampSkew = 0\n")
    token = mint(jti="one")
    running.refuses_soon(token)
    file.write_text("two\n")
    running.refuses_soon(mint(jti="two"))
    wait_until(lambda: running.stands(token), "it is taken back", seconds=12)


@pytest.mark.parametrize("word", ["def", "async def"])
def test_what_it_yields_is_revoked_at_once(guarded, tmp_path, word):
    file = tmp_path / "revoked.txt"
    file.write_text("early\n")
    pause = "time.sleep(0.05)" if word == "def" else "await asyncio.sleep(0.05)"
    source = (
        f"import asyncio, time\n\n{word} revoked(settings):\n    told = set()\n    while True:\n"
        f"        for line in open({str(file)!r}):\n            if line not in told:\n                told.add(line)\n"
        f"                yield {{'jti': line.strip()}}\n        yield None\n        {pause}\n"
    )
    running = guarded(source, 'whenUnavailable = "closed"\n')
    wait_until(lambda: running.is_refused(mint(jti="early")), "it is loaded")
    token = mint(jti="late")
    assert running.stands(token)
    file.write_text("early\nlate\n")
    assert running.refuses_soon(token) < 1.0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def revoked(settings):\n    raise KeyError('gone')\n", "extensions/feed.py:2: KeyError: 'gone'"),
        ("def revoked(settings):\n    import os\n    os._exit(3)\n", "its process ended"),
        ("def other(settings):\n    pass\n", "extensions/feed.py has no function `revoked`"),
        ("def revoked(settings):\n    return 5\n", "TypeError"),
        ("raise OSError('no')\n", "extensions/feed.py:1: OSError: no"),
    ],
)
def test_what_it_does_wrong_is_told_in_a_line(guarded, source, told):
    running = guarded(source)
    wait_until(lambda: told in running.gateway.output, "it is told")
    assert running.stands(mint())
    assert "Traceback" not in running.gateway.output


def test_no_process_of_it_is_left_behind(guarded):
    running = guarded("import time\n\ndef revoked(settings):\n    yield 'one'\n    time.sleep(600)\n")
    running.refuses_soon(mint(jti="one"))
    processes = running.gateway.processes()
    assert len(processes) == 5
    running.gateway.stop()
    wait_until(lambda: not any(_lives(pid) for pid in processes), "all have ended")


def _lives(pid):
    from pathlib import Path

    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_module_that_there_is_not_stops_the_start(guarded):
    with pytest.raises(AssertionError, match=r"the artefact has no extensions/none\.py"):
        guarded("def revoked(settings):\n    return []\n", "", SETTINGS.replace("feed:", "none:"))


def test_a_function_of_3x_is_refused_with_a_hint(guarded):
    with pytest.raises(AssertionError, match=r"a function of 3\.x's own language"):
        guarded("def revoked(settings):\n    return []\n", "", SETTINGS.replace("feed:revoked", "custom"))
