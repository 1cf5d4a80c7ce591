"""The application log of every process: one line on standard error for each record, text on a terminal and JSON otherwise.

A line is at most as long as a pipe takes in one piece, so that lines of several processes never tear; where standard error
is a pipe or socket that nobody reads, records are dropped and counted instead of holding up whoever logs. The access log
is another thing, see access_log.py.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import stat
import sys
from functools import partial
from time import gmtime, strftime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.settings.model import Settings

MAX_LINE_BYTES = 4_096  # PIPE_BUF of Linux

_STANDARD_ERROR = 2
_CUT_MARK = " [...] "
_LEVEL_NAMES = {"WARNING": "warn", "CRITICAL": "error"}
# The levels of `b7a.log.level`; TRACE shows what DEBUG shows.
_LEVELS = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}


def configure(settings: Settings) -> None:
    """Send this process's records to standard error from `b7a.log.level` on; holds for what is forked from it."""
    handler = LineHandler(_STANDARD_ERROR, as_text=sys.stderr is not None and sys.stderr.isatty())
    logging.lastResort = None
    logging.raiseExceptions = False
    root = logging.getLogger()
    for earlier in list(root.handlers):
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(handler)
    root.setLevel(_LEVELS[settings.b7a.log.level])


class LineHandler(logging.Handler):
    """Writes records as lines to a descriptor without ever waiting for its reader."""

    def __init__(self, descriptor: int, *, as_text: bool) -> None:
        super().__init__()
        self._outlet = Outlet(descriptor)
        self._as_text = as_text
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = _text(record) if self._as_text else _json(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be shown must not break whoever logs it
            line = _json(_replacement(record, f"a log record cannot be shown: {type(error).__name__}"))
        if self._dropped:
            missed = _replacement(record, f"{self._dropped} log records were dropped, standard error was not read")
            if not self._outlet.write(_text(missed) if self._as_text else _json(missed)):
                self._dropped += 1
                return
            self._dropped = 0
        if not self._outlet.write(line):
            self._dropped += 1

    def close(self) -> None:
        self._outlet.close()
        super().close()


def _replacement(record: logging.LogRecord, message: str) -> logging.LogRecord:
    return logging.LogRecord("microgate.logs", logging.WARNING, record.pathname, record.lineno, message, None, None)


def _traceback(record: logging.LogRecord) -> str:
    if record.exc_info and record.exc_info[1] is not None:
        return logging.Formatter().formatException(record.exc_info)
    return ""


def _time(record: logging.LogRecord) -> str:
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(record.created))}.{int(record.msecs):03d}Z"


def _json(record: logging.LogRecord) -> bytes:
    fields: dict[str, str | int] = {
        "time": _time(record),
        "level": _LEVEL_NAMES.get(record.levelname, record.levelname.lower()),
        "logger": record.name,
        "pid": record.process or 0,
        "message": record.getMessage(),
    }
    trace = _traceback(record)
    if trace:
        fields["traceback"] = trace
    line = json.dumps(fields)
    excess = len(line) + 1 - MAX_LINE_BYTES
    for name in ("traceback", "message"):
        if excess > 0 and name in fields:
            fields[name] = _shorten(str(fields[name]), excess)
            line = json.dumps(fields)
            excess = len(line) + 1 - MAX_LINE_BYTES
    return line.encode() + b"\n"


def _shorten(text: str, excess: int) -> str:
    """The text without so much of its middle that its JSON form is shorter by `excess`, or without all of it."""
    encoded = json.dumps(text)[1:-1]
    keep = len(encoded) - excess - len(_CUT_MARK)
    if keep <= 0:
        return ""
    head, tail = _fitting(text, keep // 2), _fitting(text[::-1], keep // 2)[::-1]
    return f"{head}{_CUT_MARK}{tail}"


def _fitting(text: str, room: int) -> str:
    """The longest beginning whose JSON form fits."""
    for position, character in enumerate(text):
        room -= len(json.dumps(character)) - 2
        if room < 0:
            return text[:position]
    return text


def _text(record: logging.LogRecord) -> bytes:
    message = record.getMessage()
    trace = _traceback(record)
    level = _LEVEL_NAMES.get(record.levelname, record.levelname.lower())
    line = f"{_time(record)} {level:5} {record.name.removeprefix('microgate.')}: {message}"
    # A person reads a traceback as lines; control characters could still do mischief to the terminal.
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return "\n".join([shown, *trace.splitlines()]).encode("utf-8", "backslashreplace") + b"\n"


class Outlet:
    """A descriptor as others gave it to us, written to at once or not at all."""

    def __init__(self, descriptor: int) -> None:
        self._release: Callable[[], object] = int  # what was opened beside the descriptor is given back by this
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:
            self._put: Callable[[bytes], object] = len  # there is no standard error, and nobody to tell
            return
        if stat.S_ISSOCK(mode):
            self._put = self._send_to(descriptor)
        elif stat.S_ISREG(mode):
            self._put = lambda line: os.write(descriptor, line)
        else:
            self._put = self._write_to(descriptor)

    def write(self, line: bytes) -> bool:
        """False if there was no room for the line."""
        try:
            self._put(line)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._put = len
        self._release()
        self._release = int

    def _send_to(self, descriptor: int) -> Callable[[bytes], object]:
        channel = socket.socket(fileno=os.dup(descriptor))
        self._release = channel.close
        return lambda line: channel.send(line, socket.MSG_DONTWAIT)

    def _write_to(self, descriptor: int) -> Callable[[bytes], object]:
        """A pipe or terminal is opened a second time where the system can: being non-blocking belongs to an open file.

        Where it cannot, room is looked for first, which another process may take before the line is written.
        """
        if sys.platform == "win32":
            return lambda line: os.write(descriptor, line)
        try:
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            return _polled(descriptor)
        self._release = partial(os.close, own)
        return lambda line: os.write(own, line)


def _polled(descriptor: int) -> Callable[[bytes], object]:
    waiter = select.poll()
    waiter.register(descriptor, select.POLLOUT)

    def write(line: bytes) -> None:
        if not waiter.poll(0):
            raise BlockingIOError
        os.write(descriptor, line)

    return write
