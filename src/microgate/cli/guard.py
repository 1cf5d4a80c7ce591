"""From a command that runs to the exit code of its process: every way to end is decided here, so that none is a traceback.

The three programs (microgate, micro-gw, gateway) call `guard` around all they do. Exit codes: 0 fine, 1 findings,
2 usage, 3 internal; a signal ends the process as the signal would have.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from microgate import __version__
from microgate.errors import Findings, MicrogateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.cli.console import Console

INTERNAL = 3


def guard(console: Console, work: Callable[[], int]) -> int:
    """Run `work` and give its exit code, or that of the error it ended with, which is printed."""
    try:
        try:
            code = work()
            console.finish()
        except Findings as findings:
            from microgate.cli import diagnostics_text

            console.say(diagnostics_text.render(findings.diagnostics, paint=console.paint))
            console.say(diagnostics_text.summary(findings.diagnostics))
            code = findings.exit_code
        except MicrogateError as error:
            console.error(str(error), error.hint)
            code = error.exit_code
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT)
    except BrokenPipeError:
        # Who reads us has seen enough. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _end_by(getattr(signal, "SIGPIPE", None))
    except Exception as error:  # noqa: BLE001 - the last resort that keeps tracebacks from users
        return _internal(console, error)
    return code


def _internal(console: Console, error: Exception) -> int:
    if console.verbose:
        import traceback

        console.say("".join(traceback.format_exception(error)).rstrip())
    console.error(
        f"internal error in microgate {__version__}: {type(error).__name__}: {error}",
        "this is a bug of ours: please report it with what the same command prints under --verbose",
    )
    return INTERNAL


def _end_by(number: signal.Signals | None) -> int:
    """Die of the signal, so that a shell's loop over us stops too; where that is not possible, the code it would give."""
    if number is None:
        return 1
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
