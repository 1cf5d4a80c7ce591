"""The process that serves, begun anew with nothing in memory but the plan and the settings.

`serving.py` has read the command line, the artefact and the settings with code that serving does not need; all processes that
are forked later would carry it along. `hand_over` replaces that process by this one, under the same process id.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple, NoReturn

import msgspec

from microgate.errors import StartError
from microgate.plan.model import Plan  # noqa: TC001 - msgspec reads the annotations
from microgate.settings.model import Settings  # noqa: TC001 - as above


class Baton(NamedTuple):
    """What is handed over. `origins` has key, text and origin of each setting, to say where a mistake was written."""

    plan: Plan
    settings: Settings
    ready_file: str
    origins: tuple[tuple[str, str, str], ...]
    program: str  # whose name opens the lines of errors
    verbose: bool


def hand_over(baton: Baton) -> NoReturn:
    """Go on as a process that only serves; raises StartError. The system has memory files and keeps process ids: Linux."""
    try:
        _begin_anew(msgspec.msgpack.encode(baton))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StartError(f"`{sys.executable}` cannot be started to serve: {why}") from None


def _begin_anew(given: bytes) -> NoReturn:
    file = os.memfd_create("microgate", 0)
    with os.fdopen(file, "wb", closefd=False) as memory:
        memory.write(given)
    sys.stdout.flush()
    sys.stderr.flush()
    # The words of the user's own command line follow, so that lists of processes show them.
    words = [sys.executable, "-P", "-m", __name__, str(file), "microgate", *sys.argv[1:]]
    os.execv(sys.executable, words)  # noqa: S606 - the words are our own, and there is no shell to misread them


def main() -> int:
    with os.fdopen(int(sys.argv[1]), "rb") as memory:
        memory.seek(0)
        baton = msgspec.msgpack.decode(memory.read(), type=Baton)
    try:
        return _serve(baton)
    except BaseException as error:  # noqa: BLE001 - every way to end is the guard's to decide
        return _end(baton, error)


def _serve(baton: Baton) -> int:
    from pathlib import Path

    from microgate.runtime import supervisor
    from microgate.runtime.generation import Generation

    ready_file = Path(baton.ready_file) if baton.ready_file else None
    return supervisor.serve(Generation(baton.plan, baton.settings, ready_file=ready_file))


def _end(baton: Baton, error: BaseException) -> int:
    from microgate.cli.console import Console
    from microgate.cli.guard import guard
    from microgate.cli.places import placed
    from microgate.settings.reader import Value

    console = Console(baton.program)
    console.verbose = baton.verbose
    origins = [Value(*row) for row in baton.origins]

    def again() -> int:
        raise placed(error, origins) from None

    return guard(console, again)


if __name__ == "__main__":
    sys.exit(main())
