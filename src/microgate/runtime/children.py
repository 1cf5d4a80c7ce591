"""A process that the supervisor has forked: how it is born, what it says, how it is waited for.

What it does in between is a function that the supervisor hands over (worker.serve, steward.serve).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import MicrogateError
from microgate.runtime import lifeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microgate.runtime.lifeline import Lifeline
    from microgate.runtime.signals import Signals

log = logging.getLogger("microgate.supervisor")


class Child:
    """One forked process, as its parent sees it."""

    def __init__(self, name: str, pid: int, line: Lifeline) -> None:
        self.name = name
        self.pid = pid
        self.line = line
        self.started = monotonic()
        self.serving = False
        self.failure: tuple[str, str] | None = None  # message and hint, where it has said why it cannot start

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def bury(self) -> str:
        """Wait for a process whose end of the line is closed; how it ended, in words."""
        self.line.close()
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return "nobody knows how"
        code = os.waitstatus_to_exitcode(status)
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def fork(name: str, life: Callable[[Lifeline], None], strangers: Iterable[Lifeline], signals: Signals) -> Child:
    """Start a process that lives `life`. `strangers` are lines of other children, which it must not keep open."""
    ours, theirs = lifeline.open_pair()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal between the fork and the child's own handlers would be told to the parent's pipe, as if it were the parent's.
    with signals.blocked():
        pid = os.fork()
        if pid == 0:
            signals.forget()
    if pid == 0:
        _live(name, life, (theirs, ours, *strangers))
    theirs.close()
    return Child(name, pid, ours)


def _live(name: str, life: Callable[[Lifeline], None], lines: tuple[Lifeline, ...]) -> None:
    """The child: never returns, whatever happens, because above it is the parent's stack."""
    code = 70
    try:
        line, *others = lines
        for other in others:
            other.close()
        life(line)
        code = 0
    except MicrogateError as error:
        lines[0].tell_failure(str(error), error.hint)
    except Exception as error:
        log.error("%s failed: %s: %s", name, type(error).__name__, error)  # noqa: TRY400 - the traceback is for developers
        log.debug("where %s failed", name, exc_info=True)
        lines[0].tell_failure(
            f"{name} failed: {type(error).__name__}: {error}", "please report this as a bug of microgate"
        )
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
