"""A function of the project as a source, run in a process of its own, so that nothing it does can hold up the steward.

`function_host.py` is what runs there; both sides speak in lines of JSON.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.errors import SettingsError
from microgate.runtime.security.revocation.feeds import FeedError, function_host

if TYPE_CHECKING:
    from microgate.plan.model import Plan
    from microgate.runtime.security.revocation.book import Book
    from microgate.settings.model import Settings

KEY = "tokenRevocationConfig.persistent.type"
MAX_LINE_BYTES = 1 << 20


class Feed:
    def __init__(self, settings: Settings, plan: Plan) -> None:
        persistent = settings.revocation.persistent
        module = persistent.type.partition(":")[0]
        if module not in {one.name for one in plan.extensions}:
            known = ", ".join(f"`{one.name}`" for one in plan.extensions) or "none"
            raise SettingsError(f"`{KEY}`: the artefact has no extensions/{module}.py", f"its modules are: {known}")
        self._pause = persistent.poll_interval_in_millis / 1000
        told = {
            "endpointURL": persistent.endpoint_url,
            "username": persistent.username,
            "password": persistent.password,
        }
        task = {
            "reference": persistent.type,
            "key": KEY,
            "modules": [(one.name, one.source) for one in plan.extensions],
            "told": told,
        }
        self._task = msgspec.json.encode(task) + b"\n"

    async def follow(self, book: Book) -> None:
        while True:
            book.begin()
            await self._run(book)
            await asyncio.sleep(self._pause)

    async def _run(self, book: Book) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", function_host.__name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(self._task)
            await _hear(process.stdout, book)
        finally:
            # The end of its input ends it too, should we be gone before this.
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _hear(output: asyncio.StreamReader, book: Book) -> None:
    """Take what it says, until it has said that it ends."""
    count = 0
    while True:
        try:
            line = await output.readline()
            word, said = msgspec.json.decode(line) if line else ("", None)
        except (ValueError, msgspec.DecodeError):
            raise FeedError("it says what cannot be read") from None
        if word == function_host.ENTRIES:
            count += len(_list(said))
            await book.add(_list(said))
        elif word in (function_host.WHOLE, function_host.END):
            await book.finish(count)
            if word == function_host.END:
                return
        elif word == function_host.FAILURE:
            raise FeedError(str(said))
        else:
            raise FeedError("its process ended")


def _list(said: Any) -> list[object]:
    return said if isinstance(said, list) else []
