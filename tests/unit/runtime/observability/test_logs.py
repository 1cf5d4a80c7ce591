"""The application log: one short line for each record, on a descriptor that may not be read."""

import json
import logging
import os
import pty
import socket
import subprocess
import sys

import pytest

from microgate.runtime.observability.logs import MAX_LINE_BYTES, LineHandler


@pytest.fixture
def logger():
    found = logging.Logger("microgate.pipeline")  # noqa: LOG001 - one that no other test sees
    yield found
    for handler in found.handlers:
        handler.close()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read(descriptor):
    data = b""
    while True:
        try:
            piece = os.read(descriptor, 65_536)
        except BlockingIOError:
            return data
        if not piece:
            return data
        data += piece


def records(data):
    return [json.loads(line) for line in data.splitlines()]


def test_a_record_is_a_json_object_on_one_line(logger, pipe):
    reader, writer = pipe
    logger.addHandler(LineHandler(writer, as_text=False))
    logger.warning("two\nlines of \x1b[31m%s \udc80", "J\u00fcrgen")
    [found] = records(read(reader))
    assert list(found) == ["time", "level", "logger", "pid", "message"]
    assert found["message"] == "two\nlines of \x1b[31mJ\u00fcrgen \udc80"
    assert (found["level"], found["logger"], found["pid"]) == ("warn", "microgate.pipeline", os.getpid())
    assert found["time"].endswith("Z")


def test_a_traceback_is_one_field(logger, pipe):
    reader, writer = pipe
    logger.addHandler(LineHandler(writer, as_text=False))
    try:
        raise ValueError("no\ngood")  # noqa: TRY301 - what is logged below
    except ValueError:
        logger.exception("a stage failed")
    [found] = records(read(reader))
    assert found["level"] == "error"
    assert found["traceback"].startswith("Traceback (most recent call last)")
    assert found["traceback"].endswith("ValueError: no\ngood")


@pytest.mark.parametrize("filler", ["x", "\u00fc", "\U0001f600", "\x00", '"\n'])
def test_a_line_never_tears_because_it_is_never_longer_than_a_pipe_takes_at_once(logger, pipe, filler):
    reader, writer = pipe
    logger.addHandler(LineHandler(writer, as_text=False))
    logger.warning("begin %s end", filler * 10_000)
    try:
        raise ValueError(filler * 10_000)  # noqa: TRY301 - what is logged below
    except ValueError:
        logger.exception("begin %s end", filler * 10_000)
    data = read(reader)
    assert all(len(line) + 1 <= MAX_LINE_BYTES for line in data.splitlines())
    first, second = records(data)
    assert first["message"].startswith("begin " + filler)
    assert first["message"].endswith(filler + " end")
    assert len(data.splitlines()[0]) > MAX_LINE_BYTES - 100
    assert second["message"].startswith("begin")


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_the_loss_is_told(logger, pipe):
    reader, writer = pipe
    logger.addHandler(LineHandler(writer, as_text=False))
    for number in range(1_000):
        logger.info("%d %s", number, "x" * 1_000)
    before = records(read(reader))
    assert os.get_blocking(writer)  # who shares the pipe with us is not disturbed
    logger.info("again")
    told, last = records(read(reader))
    assert told["message"] == f"{1_000 - len(before)} log records were dropped, standard error was not read"
    assert last["message"] == "again"


def test_a_closed_pipe_harms_nobody(logger):
    reader, writer = os.pipe()
    logger.addHandler(LineHandler(writer, as_text=False))
    os.close(reader)
    logger.error("nobody hears this")
    os.close(writer)


def test_a_socket_that_nobody_reads_holds_up_nobody(logger):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        logger.addHandler(LineHandler(ours.fileno(), as_text=False))
        for number in range(1_000):
            logger.info("%d %s", number, "x" * 1_000)
        theirs.setblocking(False)
        data = theirs.recv(10_000_000)
        found = records(data[: data.rfind(b"\n") + 1])
        assert [record["message"].split()[0] for record in found] == [str(n) for n in range(len(found))]
        assert ours.gettimeout() is None


def test_a_file_is_appended_to_where_others_write_too(logger, tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b'{"message": "from somebody else"}\n')
        logger.addHandler(LineHandler(file.fileno(), as_text=False))
        logger.info("one")
        file.write(b'{"message": "from somebody else"}\n')
        logger.info("two")
    messages = [record["message"] for record in records((tmp_path / "log").read_bytes())]
    assert messages == ["from somebody else", "one", "from somebody else", "two"]


def test_on_a_terminal_it_is_text_without_control_characters(logger):
    ours, theirs = pty.openpty()
    try:
        logger.addHandler(LineHandler(theirs, as_text=True))
        logger.warning("a \x1b[31mred\x07 %s", "J\u00fcrgen")
        text = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert text.endswith(" warn  pipeline: a \\x1b[31mred\\x07 J\u00fcrgen\r\n")


def test_a_record_that_cannot_be_shown_is_told_as_such(logger, pipe):
    reader, writer = pipe
    logger.addHandler(LineHandler(writer, as_text=False))
    logger.warning("%d", "not a number")
    [found] = records(read(reader))
    assert found["message"] == "a log record cannot be shown: TypeError"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", "debug info warn"),
        ("TRACE", "debug info warn"),
        ("INFO", "info warn"),
        ("WARN", "warn"),
        ("ERROR", ""),
    ],
)
def test_the_level_of_the_settings(level, shown):
    program = f"""
import logging
from microgate.runtime.observability import logs
from microgate.settings.model import Settings
from microgate.settings.sight import B7a, Log
logs.configure(Settings(b7a=B7a(log=Log(level="{level}"))))
logs.configure(Settings(b7a=B7a(log=Log(level="{level}"))))
for name in ("debug", "info", "warning"):
    getattr(logging.getLogger("microgate.x"), name)("said")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
    assert " ".join(record["level"] for record in records(done.stderr)) == shown


def test_without_standard_error_nothing_breaks():
    program = """
import logging, os
from microgate.runtime.observability import logs
from microgate.settings.model import Settings
os.close(2)
logs.configure(Settings())
logging.getLogger("microgate.x").error("nobody hears this")
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"fine\n"
