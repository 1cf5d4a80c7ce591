"""The one writer of the access log: files that are rotated, pipes that nobody reads, disks that are full."""

import asyncio
import fcntl
import json
import os
import resource
import threading

import pytest

from harness.waiting import holds_for, wait_until
from microgate.errors import SettingsError
from microgate.runtime.control import LogLines
from microgate.runtime.observability import log_writer
from microgate.runtime.observability.log_gate import LogGate
from microgate.runtime.observability.log_writer import LogWriter
from microgate.runtime.observability.metrics import Metrics, Totals, region_size


@pytest.fixture
def world(plan):
    """Makes a writer to a path, with the counters that it changes; writers end with the test."""
    writers = []

    def make(path, **options):
        region = bytearray(region_size(plan, 1))
        writer = LogWriter(str(path), Metrics(region, plan, 1), **options)
        writers.append(writer)
        totals = Totals(region, plan, 1)
        return writer, lambda: totals.counter("access_log_lines_dropped")

    yield make
    for writer in writers:
        asyncio.run(writer.close(patience_seconds=2.0))


@pytest.fixture
def pipe(tmp_path):
    """A named pipe with a reader, so that a writer can open it by its path; small, so that it is soon full."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reader, "rb", buffering=0) as file:
        yield path, file


def lines_of(*numbers, size=0):
    return LogLines(b"".join(json.dumps({"n": n, "fill": "x" * size}).encode() + b"\n" for n in numbers))


def numbers_in(data):
    return [json.loads(line)["n"] for line in data.splitlines()]


def test_lines_are_appended_in_order(world, tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(b'{"n": -1}\n')
    writer, dropped = world(path)
    for number in range(100):
        writer.put(0, lines_of(2 * number, 2 * number + 1))
    wait_until(lambda: numbers_in(path.read_bytes()) == list(range(-1, 200)))
    assert dropped() == 0


def test_the_file_is_not_for_everybody(world, tmp_path):
    path = tmp_path / "access.log"
    writer, _ = world(path)
    writer.put(0, lines_of(1))
    wait_until(path.exists)
    assert path.stat().st_mode & 0o007 == 0


def test_closing_writes_what_is_queued(world, tmp_path):
    path = tmp_path / "access.log"
    writer, _ = world(path)
    for number in range(500):
        writer.put(0, lines_of(number))
    asyncio.run(writer.close())
    assert numbers_in(path.read_bytes()) == list(range(500))


@pytest.mark.parametrize("gone", ["renamed", "removed"])
def test_a_file_that_is_gone_is_opened_anew(world, tmp_path, gone):
    path = tmp_path / "access.log"
    writer, dropped = world(path)
    writer.put(0, lines_of(1))
    wait_until(lambda: path.exists() and path.read_bytes())
    path.rename(tmp_path / "access.log.1") if gone == "renamed" else path.unlink()
    numbers = iter(range(2, 1_000_000))
    wait_until(lambda: writer.put(0, lines_of(next(numbers))) or path.exists())
    wait_until(lambda: writer.put(0, lines_of(next(numbers))) or path.read_bytes())
    assert dropped() == 0


def test_a_pipe_that_is_read_slowly_gets_every_line_that_is_not_counted_as_dropped(world, pipe):
    path, reader = pipe
    writer, dropped = world(path, max_queued_bytes=200_000)
    for number in range(100):
        writer.put(0, lines_of(number, size=8_000))
    assert dropped() > 0
    read = b""

    def everything_came():
        nonlocal read
        read += reader.read(10_000) or b""
        return len(numbers_in(read[: read.rfind(b"\n") + 1])) + dropped() == 100

    wait_until(everything_came)
    numbers = numbers_in(read)
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 100


def test_a_pipe_that_nobody_reads_holds_up_nobody(world, pipe):
    path, reader = pipe
    writer, dropped = world(path, max_queued_bytes=10_000)
    for number in range(1000):
        writer.put(0, lines_of(number, size=1_000))
    holds_for(lambda: dropped() > 900)
    asyncio.run(writer.close(patience_seconds=0.05))
    assert 990 <= dropped() <= 1000
    while reader.read(100_000):
        pass


def test_a_reader_that_leaves_and_another_that_comes(world, tmp_path, caplog):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer, dropped = world(path)
    writer.put(0, lines_of(1))
    wait_until(lambda: _read(first) == lines_of(1).data)
    os.close(first)
    for number in range(2, 5):
        writer.put(0, lines_of(number))
    wait_until(lambda: dropped() == 3)
    second = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer.put(0, lines_of(5))
    wait_until(lambda: _read(second) == lines_of(5).data)
    wait_until(lambda: len(caplog.messages) == 2)
    os.close(second)
    assert "cannot be written" in caplog.messages[0]
    assert "broken pipe" in caplog.messages[0]
    assert caplog.messages[1] == "the access log is written again, 3 lines were lost"


def _read(descriptor):
    try:
        return os.read(descriptor, 100_000)
    except BlockingIOError:
        return b""


def test_a_line_cut_off_by_a_full_disk_stays_a_line_of_its_own(world, tmp_path, caplog):
    path = tmp_path / "access.log"
    writer, dropped = world(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The limit on the size of files stands for a full disk: a part is written, then nothing.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, hard))
    try:
        writer.put(0, lines_of(1, 2, 3, size=980))
        wait_until(lambda: dropped() == 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.put(0, lines_of(4))
    wait_until(lambda: path.read_bytes().endswith(lines_of(4).data))
    first, torn, last = path.read_bytes().splitlines()
    assert (json.loads(first)["n"], json.loads(last)["n"]) == (1, 4)
    assert torn == lines_of(2, size=980).data[: len(torn)]
    wait_until(lambda: len(caplog.messages) == 2)


@pytest.mark.parametrize(("where", "begins"), [("access.log", b"\n"), ("another.log", b"")])
def test_a_line_torn_by_a_writer_that_died_stays_a_line_of_its_own(world, tmp_path, where, begins):
    gate = LogGate()
    gate.set_torn(str(tmp_path / where), torn=True)  # as it is while somebody writes
    path = tmp_path / "access.log"
    writer, _ = world(path, gate=gate)
    writer.put(0, lines_of(1))
    writer.put(0, lines_of(2))
    expected = begins + lines_of(1).data + lines_of(2).data
    wait_until(lambda: path.exists() and path.read_bytes() == expected)


def test_a_file_in_a_folder_that_appears_later(world, tmp_path, caplog):
    path = tmp_path / "later" / "access.log"
    writer, dropped = world(path)
    writer.put(0, lines_of(1, 2))
    wait_until(lambda: dropped() == 2)
    path.parent.mkdir()
    writer.put(0, lines_of(3))
    wait_until(lambda: path.exists() and numbers_in(path.read_bytes()) == [3])
    assert "no such file or directory" in caplog.messages[0]


def test_a_path_is_proved_at_the_start(tmp_path):
    log_writer.prove("-")
    log_writer.prove(str(tmp_path / "access.log"))
    os.mkfifo(tmp_path / "pipe")
    log_writer.prove(str(tmp_path / "pipe"))
    with pytest.raises(
        SettingsError, match=r"`accessLogConfig\.path`: cannot write `.*/nowhere/access\.log`: no such file"
    ):
        log_writer.prove(str(tmp_path / "nowhere" / "access.log"))
    with pytest.raises(SettingsError, match="is a directory"):
        log_writer.prove(str(tmp_path))


def test_only_one_thread_and_it_ends(world, tmp_path):
    before = threading.active_count()
    writer, _ = world(tmp_path / "access.log")
    assert threading.active_count() == before + 1
    writer.put(0, lines_of(1))
    asyncio.run(writer.close())
    wait_until(lambda: threading.active_count() == before)
