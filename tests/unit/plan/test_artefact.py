"""The artefact's form and its opening: what is sound opens, what is not gives one line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgate.errors import ArtefactError
from microgate.plan import artefact
from microgate.plan.model import Api, Operation, Plan, Security, Upstream, UpstreamKind
from microgate.toolkit.artefact.pack import pack

PLAN = Plan(
    project="petstore",
    engine="0.1.0",
    apis=(
        Api(
            id="api_1",
            name="Pet store",
            version="1.0.0",
            base_path="/petstore/v1",
            file="api_definitions/petstore.yaml",
            operations=(
                Operation(id="listPets", method="GET", path="/pets", production=0),
                Operation(
                    id="ping", method="GET", path="/ping", security=Security(opened_by="x-wso2-disable-security")
                ),
            ),
        ),
    ),
    upstreams=(Upstream(name="api_1", environment="prod", kind=UpstreamKind.HTTP, urls=("http://127.0.0.1:8080",)),),
    inputs=(("api_definitions/petstore.yaml", "ab" * 32),),
)
DATA = pack(PLAN)
FIRST_CUT = len(b"#!/bin/sh\n{")  # below it there is nothing that a shell could refuse
SHELLS = ["sh", "bash", *filter(shutil.which, ("dash", "zsh", "ksh"))]


def _refusal(data: bytes) -> str:
    with pytest.raises(ArtefactError) as caught:
        artefact.verify(data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _resealed(content: bytes) -> bytes:
    """What an attacker can do who knows the form: change the content and its digest."""
    return artefact.HEADER + content + hashlib.sha256(content).digest()


def test_what_is_packed_opens(tmp_path):
    file = tmp_path / "petstore"
    file.write_bytes(DATA)
    opened = artefact.open_artefact(file)
    assert opened.plan == msgspec.structs.replace(PLAN, digest=opened.digest)
    assert opened.manifest.project == "petstore"
    assert opened.manifest.inputs == dict(PLAN.inputs)
    assert opened.digest == hashlib.sha256(DATA).hexdigest()


def test_the_header_has_its_fixed_size_and_ends_in_a_line():
    assert len(artefact.HEADER) == artefact.HEADER_BYTES
    assert artefact.HEADER.endswith(b"\n")


def test_no_flipped_bit_is_accepted():
    for place in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[place] ^= 1 << (place % 8)
        _refusal(bytes(damaged))


def test_no_truncation_is_accepted():
    for length in range(len(DATA)):
        _refusal(DATA[:length])


def test_every_piece_that_a_shell_would_run_is_told_from_a_description(tmp_path):
    file = tmp_path / "piece"
    for length in range(len(b"#!"), len(DATA)):
        file.write_bytes(DATA[:length])
        assert artefact.is_artefact(file), length


def test_nothing_may_follow():
    assert "lengths do not add up" in _refusal(DATA + b"\n")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA)), st.integers(0, 64), st.binary(max_size=64))
def test_no_splice_is_accepted(place, removed, inserted):
    spliced = DATA[:place] + inserted + DATA[place + removed :]
    if spliced != DATA:
        _refusal(spliced)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_a_resealed_forgery_without_a_plan_is_refused_without_a_traceback(body, split):
    split = min(split, len(body))
    prelude = artefact.PRELUDE.pack(artefact.MAGIC, artefact.FORMAT, split, len(body) - split)
    _refusal(_resealed(prelude + body))


def test_a_newer_format_says_so():
    content = artefact.PRELUDE.pack(artefact.MAGIC, artefact.FORMAT + 1, 10, 10) + bytes(20)
    assert "has format 2; this engine reads format 1" in _refusal(_resealed(content))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not an artefact"),
        (b"openapi: 3.0.0\n", "is not an artefact"),
        (b"x" * 5000, "is not an artefact"),
        (b"#!/bin/sh\necho hello\n" + b"#" * 5000, "is not an artefact"),
        (DATA[:500], "it is truncated"),
        (DATA[:11], "it is truncated"),
        (DATA[:-1], "it is truncated"),
        (DATA.replace(b"exec", b"evil", 1), "its header was changed"),
        (DATA.replace(b"/petstore/v1", b"/petstore/v2"), "its digest does not match"),
        (DATA.replace(b"\r\n", b"\n"), "magic number"),
        (_resealed(artefact.PRELUDE.pack(artefact.MAGIC, 1, 2, 0) + b"{}"), "its content is not a plan"),
        (_resealed(artefact.PRELUDE.pack(artefact.MAGIC, 1, 0, 1 << 60)), "lengths do not add up"),
        (_resealed(artefact.PRELUDE.pack(artefact.MAGIC, 0, 0, 0)), "lengths do not add up"),
    ],
)
def test_refusals(data, said):
    assert said in _refusal(data)


def test_a_folder_a_pipe_and_nothing_are_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, tmp_path / "missing", tmp_path / "a\nb"):
        with pytest.raises(ArtefactError) as caught:
            artefact.open_artefact(path)
        assert str(path) in str(caught.value)


def test_damage_does_not_hide_what_a_file_means_to_be(tmp_path):
    rows = [
        (DATA, True),
        (DATA[:100], True),
        (DATA[:12], True),
        (DATA[:2], True),
        (DATA[:1], False),
        (b"@" + DATA[1:], True),
        (DATA.replace(b"MGATE", b"WRONG"), True),
        (b"openapi: 3.0.0\n", False),
        (b"#!/bin/sh\nexit 0\n", False),
        (b"", False),
    ]
    for number, (data, expected) in enumerate(rows):
        file = tmp_path / str(number)
        file.write_bytes(data)
        assert artefact.is_artefact(file) is expected
    assert not artefact.is_artefact(tmp_path)
    assert not artefact.is_artefact(tmp_path / "missing")


def test_opening_imports_nothing_that_builds(tmp_path):
    file = tmp_path / "petstore"
    file.write_bytes(DATA)
    script = (
        "import sys, pathlib\n"
        "from microgate.plan.artefact import open_artefact\n"
        f"open_artefact(pathlib.Path({str(file)!r}))\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    for room in (
        "microgate.toolkit",
        "microgate.runtime",
        "microgate.cli",
        "yaml",
        "argparse",
        "cryptography",
        "shtab",
    ):
        assert not [name for name in loaded if name == room or name.startswith(f"{room}.")]


class TestHeader:
    """The shell header finds the engine and hands everything on."""

    @pytest.fixture
    def world(self, tmp_path):
        folder = tmp_path / 'it\'s a "place" with $HOME\tand blanks'
        folder.mkdir()
        file = folder / "pet store"
        file.write_bytes(DATA)
        file.chmod(0o755)
        engine = tmp_path / "engine dir" / "microgate"
        engine.parent.mkdir()
        engine.write_text('#!/bin/sh\nfor word in "$@"; do printf "<%s>" "$word"; done\n')
        engine.chmod(0o755)
        return file, engine

    @staticmethod
    def _run(words, **environment):
        return subprocess.run(
            words, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False
        )

    def test_microgate_names_the_engine(self, world):
        file, engine = world
        done = self._run([file, "--set", "a.b=c d", "", "'\"$x"], MICROGATE=str(engine))
        assert done.stdout == f"<run><{file}><--set><a.b=c d><><'\"$x>"
        assert (done.returncode, done.stderr) == (0, "")

    def test_path_finds_the_engine(self, world):
        file, engine = world
        done = self._run([file], PATH=f"{engine.parent}:/usr/bin:/bin")
        assert done.stdout == f"<run><{file}>"

    def test_it_is_found_through_path_itself(self, world):
        file, engine = world
        done = self._run(["/usr/bin/env", "pet store"], PATH=f"{file.parent}:/usr/bin:/bin", MICROGATE=str(engine))
        assert done.stdout == f"<run><{file}>"

    def test_it_runs_through_a_link_and_read_only(self, world, tmp_path):
        file, engine = world
        file.chmod(0o555)
        file.parent.chmod(0o555)
        link = tmp_path / "link"
        link.symlink_to(file)
        done = self._run([link], MICROGATE=str(engine))
        file.parent.chmod(0o755)
        assert done.stdout == f"<run><{link}>"

    @pytest.mark.parametrize("shell", SHELLS)
    def test_any_shell_reads_it(self, world, shell):
        file, engine = world
        done = self._run([shutil.which(shell), file, "a b"], MICROGATE=str(engine))
        assert (done.stdout, done.stderr) == (f"<run><{file}><a b>", "")

    def test_no_engine_is_one_line(self, world):
        file, _ = world
        done = self._run([file])
        assert done.returncode == 127
        assert done.stderr == (
            f"{file}: needs the microgate engine: 'pip install microgate', or set MICROGATE to its path\n"
        )

    def test_a_wrong_engine_is_one_line(self, world, tmp_path):
        file, _ = world
        done = self._run([file], MICROGATE=str(tmp_path / "nothing"))
        assert done.returncode == 127
        assert done.stderr == f"{file}: $MICROGATE names no program: {tmp_path / 'nothing'}\n"

    @pytest.mark.parametrize("shell", SHELLS)
    def test_a_cut_artefact_never_ends_well(self, world, shell):
        """A piece fails in the shell's words, or is handed to the engine, which refuses it."""
        file, engine = world
        engine.write_text('#!/bin/sh\necho "refused by the engine" >&2\nexit 1\n')
        lines = [place + 1 for place, byte in enumerate(artefact.HEADER) if byte == ord("\n")]
        ends = {place + near for place in lines for near in (-1, 0, 1)} | set(range(FIRST_CUT, 1024, 23))
        for length in sorted(end for end in ends if end >= FIRST_CUT):
            file.write_bytes(DATA[:length])
            done = self._run([shutil.which(shell), file], MICROGATE=str(engine))
            assert done.returncode != 0, length
            assert done.stderr.strip(), length
            assert done.stdout == ""
            whole = DATA[:length].endswith(b"\n}") or length >= DATA.index(b"\n}\n") + 2
            assert (done.stderr == "refused by the engine\n") is whole, length
