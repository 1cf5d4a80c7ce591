"""Files with key material that one worker follows: what is made of a change takes the old one's place, or nothing does.

A timer looks at them, and a thread reads what has changed and holds still, so no request waits for the disk. Certificate files
of issuers are followed by the steward (`tokens/certificates.py`), those of listeners in `tls.py`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from microgate.errors import KeyMaterialError
from microgate.runtime.file_stamps import stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microgate.runtime.file_stamps import Stamp

T = TypeVar("T")

LOOK_SECONDS = 1.0

log = logging.getLogger("microgate.security")


class FollowedFiles(Generic[T]):
    """`load` runs in a thread, proves what it makes and raises KeyMaterialError; `take` gets what it made.

    `what` is how logs call it. Follows from the start where a loop runs: settings are proved in a process that has none.
    """

    def __init__(self, what: str, files: Iterable[str], load: Callable[[], T], take: Callable[[T], None]) -> None:
        self._what = what
        self._files = [Path(file) for file in files]
        self._load = load
        self._take = take
        self._stamp = self._seen = self._look()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        try:
            self._rest(asyncio.get_running_loop())
        except RuntimeError:
            return

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK_SECONDS, self._notice, loop)

    def _notice(self, loop: asyncio.AbstractEventLoop) -> None:
        """A change counts once it holds still from one look to the next: a key and its certificate are two writes."""
        now = self._look()
        before, self._seen = self._seen, now
        if now == self._stamp or now != before:
            self._rest(loop)
            return
        self._stamp = now
        loop.run_in_executor(None, self._load).add_done_callback(self._on_load)

    def _on_load(self, loading: asyncio.Future[Any]) -> None:
        if self._closed or loading.cancelled():
            return
        try:
            self._take(loading.result())
        except KeyMaterialError as error:
            log.error("%s; the last good %s stays in use", error, self._what)  # noqa: TRY400 - the error is the user's
        except Exception:
            # A file that nobody foresaw: the one that mends it must still be seen.
            log.exception("a file cannot be used; the last good %s stays in use", self._what)
        else:
            log.info("a new %s is in use", self._what)
        self._rest(asyncio.get_running_loop())

    def _look(self) -> Stamp:
        return stamp_of(self._files)
