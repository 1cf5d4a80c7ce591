"""Where slow work of user stores is done: in a few threads of low priority, by fair turns, never on the event loop.

A thread lives for one piece of work, which costs a thousandth of a slow hash; so there is none to fork or to join.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from microgate.runtime.security import passwords
from microgate.runtime.security.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.security.user_stores.store import Attempt
    from microgate.settings.stored_passwords import Stored

T = TypeVar("T")

NICENESS = 15  # the loop that serves everybody else goes first


class HashBench:
    """`threads` work at once. What a request no longer waits for is finished all the same, and holds its turn until then."""

    def __init__(self, threads: int) -> None:
        self._turns = Turns(threads)

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
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()
            threading.Thread(target=_work, args=(work, loop, done), daemon=True, name="microgate-users").start()
        except BaseException:
            self._turns.give_back()
            raise
        # In this order: who waited has drawn its conclusions before the next one has its turn.
        outcome = asyncio.shield(done)
        done.add_done_callback(self._after)
        return await outcome

    def _after(self, done: asyncio.Future[T]) -> None:
        done.exception()  # raised to whoever still waits
        self._turns.give_back()


def _work(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: asyncio.Future[T]) -> None:
    # Linux has a priority for each thread; where there is none it does not matter.
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - raised again where it is waited for
        _tell(loop, done.set_exception, error)
    else:
        _tell(loop, done.set_result, result)


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[[Any], None], news: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waited
        loop.call_soon_threadsafe(tell, news)
