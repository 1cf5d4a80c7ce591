"""Where slow work of user stores is done: in a few threads, by fair turns, never on the event loop.

The threads start with the first work and stay: starting one holds the loop up until the system has let it run. The system
prefers the loop to them, and after a wrong password they rest for as long as it took: guesses leave the processors to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from queue import SimpleQueue
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.security.passwords.user_stores.store import Attempt
    from microgate.settings.stored_passwords import Stored

    Job: TypeAlias = tuple[Callable[[], Any], asyncio.Future[Any]]

T = TypeVar("T")

# A tenth of the loop's share of a processor that both want. Less would hold everybody up whenever such a thread is put aside
# while it has the interpreter's lock.
NICENESS = 10
MAX_REST_SECONDS = 1.0


class HashBench:
    """`threads` work at once. What a request no longer waits for is finished all the same, and holds its turn until then."""

    def __init__(self, threads: int) -> None:
        self._turns = Turns(threads)
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._missing = threads
        self._started = 0

    async def matches(self, attempt: Attempt, stored: Stored) -> bool:
        """Whether the attempt has the password; raises BusyError, and what `Attempt.welcome` raises."""
        if not stored.is_slow:
            return passwords.matches(stored, attempt.password)
        return await self.run(attempt, lambda: passwords.matches(stored, attempt.password))

    async def run(self, attempt: Attempt, work: Callable[[], T]) -> T:
        """What `work` gives, done in a thread; raises what it raises, too."""
        await self._turns.take(attempt.address)
        try:
            # Others of the same address or user may have failed meanwhile.
            attempt.welcome()
            self._start_thread()
        except BaseException:
            self._turns.give_back()
            raise
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # In this order: who waited has drawn its conclusions before the next one has its turn.
        outcome = asyncio.shield(done)
        done.add_done_callback(self._after)
        self._jobs.put((work, done))
        return await outcome

    def close(self) -> None:
        for _ in range(self._started):
            self._jobs.put(None)

    def _start_thread(self) -> None:
        """One more until all are there."""
        if self._missing:
            threading.Thread(target=_work, args=(self._jobs,), daemon=True, name="microgate-users").start()
            self._missing -= 1
            self._started += 1

    def _after(self, done: asyncio.Future[T]) -> None:
        done.exception()  # raised to whoever still waits
        self._turns.give_back()


def _work(jobs: SimpleQueue[Job | None]) -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    while (job := jobs.get()) is not None:
        work, done = job
        begun = monotonic()
        tell: Callable[[Any], None] = done.set_result
        try:
            news = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            tell, news = done.set_exception, error
        rest_s = min(monotonic() - begun, MAX_REST_SECONDS) if news is False else 0.0
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            done.get_loop().call_soon_threadsafe(tell, news)
        del job, work, done, tell, news  # a thread that waits holds nobody's password
        sleep(rest_s)
