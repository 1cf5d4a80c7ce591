"""The one place that prints. Data goes to standard output, everything else to standard error; colour only where a terminal
shows it and NO_COLOR is not set. Every command receives a Console; diagnostics are laid out by diagnostics_text.py.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

from microgate.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 1.0  # work longer than this shows that it goes on

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m", "hint": "\x1b[1;32m"}
_PLAIN = "\x1b[0m"


class Console:
    """Prints for one run of the command line. `name` opens the lines of errors where a program keeps that habit."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._prefix = f"{name}: " if name else ""
        self.verbose = False
        # A stream that was closed before we began is None.
        sys.stdout = sys.stdout or _nowhere()
        sys.stderr = sys.stderr or _nowhere()
        for stream in (sys.stdout, sys.stderr):
            # A name that the terminal's encoding cannot show must not end the program.
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")

    def data(self, text: str) -> None:
        """What the command was asked for."""
        try:
            print(text, file=sys.stdout)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable(error) from error

    def finish(self) -> None:
        """See that all data has left. Raises ProjectError where it cannot, BrokenPipeError where nobody reads it."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            # What cannot be written now cannot be written at exit either.
            sys.stdout = _nowhere()
            raise _unwritable(error) from error

    def say(self, text: str) -> None:
        """What happened, for a person."""
        self.finish()
        print(text, file=sys.stderr)

    def detail(self, text: str) -> None:
        """What happened, for a person who asked for --verbose."""
        if self.verbose:
            print(f"{self._prefix}[verbose] {text}", file=sys.stderr)

    def error(self, message: str, hint: str = "") -> None:
        self._finding("error", message, hint)

    def warning(self, message: str, hint: str = "") -> None:
        self._finding("warning", message, hint)

    def paint(self, word: str, kind: str, stream: TextIO | None = None) -> str:
        """The word in its kind's colour, if `stream` (standard error) is a terminal that wants colour."""
        if not wants_colour(stream or sys.stderr):
            return word
        return f"{_COLOURS[kind]}{word}{_PLAIN}"

    @contextlib.contextmanager
    def progress(self, doing: str) -> Iterator[None]:
        """Around work that may take a while: on a terminal, after a second, a line that counts the seconds."""
        if not sys.stderr.isatty():
            yield
            return
        finished = threading.Event()
        counter = threading.Thread(target=_count, args=(doing, finished), daemon=True)
        counter.start()
        try:
            yield
        finally:
            finished.set()
            # Joined, because a process that is about to fork must have no thread.
            counter.join()

    def _finding(self, kind: str, message: str, hint: str) -> None:
        print(f"{self._prefix}{self.paint(kind, kind)}: {printable(message)}", file=sys.stderr)
        if hint:
            print(f"{self.paint('hint', 'hint')}: {printable(hint)}", file=sys.stderr)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open for the life of the process


def _unwritable(error: OSError) -> ProjectError:
    return ProjectError(f"standard output cannot be written: {error.strerror or error}")


def wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """The text in one line, with control characters shown as escapes: a file's content never steers the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _count(doing: str, finished: threading.Event) -> None:
    began = time.monotonic()
    if finished.wait(PATIENCE_SECONDS):
        return
    while True:
        sys.stderr.write(f"\r{doing} ... {time.monotonic() - began:.0f} s")
        sys.stderr.flush()
        if finished.wait(PATIENCE_SECONDS):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
