"""Every way to end: which code, which line, and never a traceback that nobody asked for."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.waiting import wait_until
from microgate.cli.console import Console
from microgate.cli.guard import guard
from microgate.diagnostics import Diagnostic, Severity
from microgate.errors import ArtefactError, Findings, StartError, UsageError

MICROGATE = Path(sys.executable).with_name("microgate")
FINDING = Diagnostic("MG101", Severity.ERROR, "unknown key `x`", "a.yaml", 1, 1)


def _raising(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("unknown option `--x`", "help"), 2, "error: unknown option `--x`\nhint: help\n"),
        (ArtefactError("x: is damaged"), 1, "error: x: is damaged\n"),
        (StartError("two\nlines"), 1, "error: two\\nlines\n"),
        (Findings([FINDING]), 1, "error[MG101]: a.yaml:1:1: unknown key `x`\n1 error\n"),
    ],
)
def test_errors_of_ours(error, code, said, capsys):
    assert guard(Console(), _raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_an_internal_error_is_one_line_and_how_to_report_it(capsys):
    assert guard(Console(), _raising(KeyError("surprise"))) == 3
    said = capsys.readouterr().err
    assert said.splitlines()[0].startswith("error: internal error in microgate ")
    assert "KeyError: 'surprise'" in said
    assert "--verbose" in said
    assert "Traceback" not in said


def test_an_internal_error_shows_its_place_to_who_asks(capsys):
    console = Console()
    console.verbose = True
    assert guard(console, _raising(KeyError("surprise"))) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_name_opens_the_lines_of_the_old_programs(capsys):
    assert guard(Console("micro-gw"), _raising(ArtefactError("no"))) == 1
    assert capsys.readouterr().err == "micro-gw: error: no\n"


def test_a_reader_that_leaves_ends_the_program_in_silence():
    process = subprocess.Popen([MICROGATE, "help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    complained = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == -signal.SIGPIPE
    assert complained == b""


def test_output_that_cannot_be_written_is_one_line():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([MICROGATE, "version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: standard output cannot be written: No space left on device\n"


def test_closed_streams_are_no_failure():
    done = subprocess.run(["/bin/sh", "-c", f"'{MICROGATE}' version >&- 2>&-"], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_interrupt_ends_the_program_in_silence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/slow.yaml"
        process = subprocess.Popen(
            [MICROGATE, "init", "p", "-a", address], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert said == b""
    assert list(tmp_path.iterdir()) == []


def test_no_colour_without_a_terminal_and_with_no_color():
    def lines(**environment):
        leader, follower = pty.openpty()
        with subprocess.Popen([MICROGATE, "nonsense"], stderr=follower, env=environment) as process:
            process.wait(20)
            said = wait_until(lambda: os.read(leader, 4096), "it says something")
        for descriptor in (leader, follower):
            os.close(descriptor)
        return said

    assert b"\x1b[1;31merror" in lines(TERM="xterm")
    assert b"\x1b" not in lines(TERM="xterm", NO_COLOR="1")
    assert b"\x1b" not in lines(TERM="dumb")
