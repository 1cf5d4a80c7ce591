"""What a terminal shows of work that takes a while, and what anything else does not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from harness.waiting import wait_until

SCRIPT = """
import sys, threading
from microgate.cli import console
console.PATIENCE_SECONDS = 0.05
with console.Console().progress("compiling petstore"):
    sys.stdin.read()
assert threading.active_count() == 1
"""


def test_a_terminal_sees_that_work_goes_on_and_nothing_is_left_of_it():
    leader, follower = pty.openpty()
    said = b""
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stderr=follower) as process:

        def goes_on() -> bool:
            nonlocal said
            said += os.read(leader, 4096)
            return said.count(b"compiling petstore ... ") > 1

        wait_until(goes_on, "it goes on", seconds=20)
        process.stdin.close()
        assert process.wait(20) == 0
    os.close(follower)
    said += os.read(leader, 4096)
    os.close(leader)
    assert said.endswith(b"\r\x1b[K")


def test_a_file_sees_nothing():
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=b"", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
