"""The process in which a function of the project tells of revocations: its task comes on standard input, entries go out as lines.

Started by `function.py`, whose end is noticed by the end of the input. What the function prints goes to standard error.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.errors import SettingsError
from microgate.plan.model import Module, Plan
from microgate.runtime.extensions import Extensions

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES, WHOLE, END, FAILURE = "entries", "whole", "end", "failure"
ENTRIES_PER_LINE = 200
GATHER_SECONDS = 0.05


class Teller:
    """Gathers entries for a moment, and writes them as lines."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._write = write
        self._gathered: list[object] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._keep_telling, daemon=True).start()

    def tell(self, said: object) -> None:
        """An entry; None where all that there was is told."""
        with self._lock:
            if said is None:
                self._flush()
                self._line(WHOLE, None)
                return
            self._gathered.append(said)
            if len(self._gathered) >= ENTRIES_PER_LINE:
                self._flush()

    def close(self, word: str, said: object = None) -> None:
        with self._lock:
            self._flush()
            self._line(word, said)

    def _keep_telling(self) -> None:
        while True:
            time.sleep(GATHER_SECONDS)
            with self._lock:
                self._flush()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._line(ENTRIES, gathered)

    def _line(self, word: str, said: object) -> None:
        self._write(msgspec.json.encode([word, said]) + b"\n")


def _run(task: dict[str, Any], teller: Teller) -> None:
    modules = tuple(Module(name=name, source=source) for name, source in task["modules"])
    plan = Plan(project="", engine="", apis=(), upstreams=(), extensions=modules)
    try:
        found = Extensions(plan).find(task["reference"], task["key"])(task["told"])
        if hasattr(found, "__aiter__") or inspect.iscoroutine(found):
            asyncio.run(_run_async(found, teller))
        else:
            for said in found:
                teller.tell(said)
    except SettingsError as error:
        teller.close(FAILURE, str(error))
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("extensions/")
        ]
        at = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
        teller.close(FAILURE, f"{at}{type(error).__name__}: {error}")
    else:
        teller.close(END)


async def _run_async(found: Any, teller: Teller) -> None:
    if inspect.iscoroutine(found):
        for said in await found:
            teller.tell(said)
        return
    async for said in found:
        teller.tell(said)


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    os._exit(0)


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _run(task, Teller(output.write))


if __name__ == "__main__":
    main()
