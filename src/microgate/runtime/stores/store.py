"""A store as its users see it: scripts run on the node that has their keys, within a bounded wait, or StoreError at once.

Whatever goes wrong takes the store out of use until a connection is made anew, which happens aside: so a dead store costs one
wait, not one of each request. Who asks decides what to do without it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from time import monotonic
from typing import TYPE_CHECKING

from microgate.runtime.stores.line import StoreError, open_line, saying
from microgate.runtime.stores.replies import StoreFault, pack
from microgate.runtime.stores.slots import SlotMap, read_redirect, read_slots, slot_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ssl import SSLContext

    from microgate.runtime.stores.addresses import Address, Place
    from microgate.runtime.stores.line import Line
    from microgate.runtime.stores.replies import Reply

CONNECT_SECONDS = 2.0
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 5.0
FIRM_SECONDS = 10.0  # after so long in use it is tried again soon
REFRESH_SECONDS = 1.0  # between two readings of a cluster's map
MAX_DETOURS = 5  # a key that moves may cost three of them, a script that is not known another
ASKING = pack(b"ASKING")

# Faults after which the connection is of no use.
_USELESS = frozenset({"READONLY", "LOADING", "NOAUTH", "WRONGPASS", "MASTERDOWN", "NOPERM"})


class Script:
    """A script of the store's, known to it by its digest once it has run there."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


class Store:
    """`on_change` hears once it is connected (True), and then of each change: that it is in use, or not and why."""

    def __init__(
        self, place: Place, wait_s: float, context: SSLContext | None, on_change: Callable[[bool, str], None]
    ) -> None:
        self.up = True  # until something goes wrong
        self.is_cluster = place.cluster
        self._place = place
        self._wait_s = wait_s
        self._context = context
        self._on_change = on_change
        self._lines: dict[Address, Line] = {}
        self._slots = SlotMap([])
        self._read_at = float("-inf")
        self._up_at = monotonic()
        self._delay_s = FIRST_RETRY_SECONDS
        self._tending: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # the first attempt to connect is over
        self._met = False
        self._closed = False

    def open(self) -> None:
        """Connect, aside."""
        self._tend_soon()

    def close(self) -> None:
        self._closed = True
        if self._tending is not None:
            self._tending.cancel()
        for line in self._lines.values():
            line.close("the gateway stops")
        self._lines.clear()

    # Asking.

    async def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        """What a script answers; its keys have one slot. Raises StoreError."""
        if not self.up:
            raise StoreError("it is not in use")
        try:
            return await self._run(script, keys, arguments)
        except StoreError as error:
            self._fail(str(error))
            raise

    async def run_each(self, script: Script, calls: Sequence[tuple[bytes, Sequence[bytes]]]) -> list[Reply]:
        """The answers to one script with one key each, sent together. Raises StoreError."""
        if not calls:
            return []
        key, arguments = calls[0]
        replies = [await self.run(script, [key], arguments)]  # from now on the node knows the script
        try:
            asked = []
            for key, arguments in calls[1:]:
                line = self._find(slot_of(key) if self._place.cluster else 0)
                if line is None:
                    line = await self._await_line(slot_of(key))
                asked.append(line.ask(pack(b"EVALSHA", script.sha, b"1", key, *arguments)))
            replies += [await one for one in asked]
        except StoreError as error:
            self._fail(str(error))
            raise
        for position, reply in enumerate(replies):
            if isinstance(reply, StoreFault):
                key, arguments = calls[position]
                replies[position] = await self.run(script, [key], arguments)
        return replies

    async def _run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        slot = slot_of(keys[0]) if self._place.cluster else 0
        until = monotonic() + self._wait_s
        line = self._find(slot) or await self._await_line(slot)
        words = (b"%d" % len(keys), *keys, *arguments)
        commands = [pack(b"EVALSHA", script.sha, *words)]
        for _ in range(MAX_DETOURS):
            reply = await line.ask(*commands)
            if not isinstance(reply, StoreFault):
                return reply
            if monotonic() >= until:
                break
            if reply.code == "NOSCRIPT":
                commands[-1] = pack(b"EVAL", script.text, *words)
            elif reply.code in {"MOVED", "ASK"} and self._place.cluster:
                line = await self._redirected(reply, line.address)
                commands = [ASKING, commands[-1]] if reply.code == "ASK" else commands[-1:]
            else:
                if reply.code in _USELESS:
                    line.close(saying(reply))
                raise StoreError(saying(reply))
        raise StoreError("it gives no answer in time")

    def _find(self, slot: int) -> Line | None:
        if self._place.cluster:
            address = self._slots.find(slot)
            line = None if address is None else self._lines.get(address)
        else:
            line = next(iter(self._lines.values()), None)
        return line if line is not None and line.is_open else None

    async def _await_line(self, slot: int) -> Line:
        """The line that is being made: at the start, or where the store has ended a connection that nobody used."""
        self._tend_soon()
        try:
            async with asyncio.timeout(self._wait_s):
                await self._tried.wait()
        except TimeoutError:
            raise StoreError("no connection in time") from None
        line = self._find(slot)
        if line is None:
            raise StoreError("its cluster has no node for some keys" if self._place.cluster else "no connection")
        return line

    async def _redirected(self, fault: StoreFault, asked: Address) -> Line:
        found = read_redirect(fault.text, asked)
        if found is None:
            raise StoreError("it answers with garbage")
        slot, address = found
        if fault.code == "MOVED":
            self._slots.move(slot, address)
            if monotonic() - self._read_at > REFRESH_SECONDS:
                self._tend_soon()
        line = self._lines.get(address)
        if line is not None and line.is_open:
            return line
        try:
            async with asyncio.timeout(self._wait_s):
                return await self._open(address)
        except TimeoutError:
            raise StoreError(f"no connection to {address.shown} in time") from None

    # Keeping it in use.

    def _fail(self, why: str) -> None:
        if self._closed:
            return
        if self.up:
            self.up = False
            if monotonic() - self._up_at >= FIRM_SECONDS:
                self._delay_s = FIRST_RETRY_SECONDS
            self._on_change(False, why)
        self._tend_soon()

    def _tend_soon(self) -> None:
        if self._closed or (self._tending is not None and not self._tending.done()):
            return
        self._tried.clear()
        self._tending = asyncio.get_running_loop().create_task(self._tend())

    async def _tend(self) -> None:
        """Make the connections that are missing, trying ever more slowly, and never in step with others."""
        if not self.up:
            await self._pause()
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await (self._connect_cluster() if self._place.cluster else self._connect_one())
            except TimeoutError:
                why = "no connection in time"
            except StoreError as error:
                why = str(error)
            else:
                break
            if self.up:
                self.up = False
                self._on_change(False, why)
            self._tried.set()
            await self._pause()
        if not self.up or not self._met:
            self.up = self._met = True
            self._up_at = monotonic()
            self._on_change(True, "")
        self._tried.set()

    async def _pause(self) -> None:
        await asyncio.sleep(self._delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._delay_s = min(2 * self._delay_s, LONGEST_RETRY_SECONDS)

    async def _connect_one(self) -> None:
        if self._find(0) is not None:
            return
        error = StoreError("no connection")
        for address in self._place.addresses:
            try:
                await self._open(address)
            except StoreError as one:
                error = one
            else:
                return
        raise error

    async def _connect_cluster(self) -> None:
        self._slots = await self._read_map()
        self._read_at = monotonic()
        wanted = self._slots.addresses()
        for address in [one for one in self._lines if one not in wanted]:
            self._lines.pop(address).close("the cluster has let go of the node")
        for address in wanted:
            line = self._lines.get(address)
            if line is None or not line.is_open:
                await self._open(address)

    async def _read_map(self) -> SlotMap:
        """The cluster's map, of the first node that tells it."""
        error = StoreError("no connection")
        known = [address for address, line in self._lines.items() if line.is_open]
        for address in (*known, *self._place.addresses):
            try:
                line = self._lines.get(address)
                if line is None or not line.is_open:
                    line = await self._open(address)
                reply = await line.ask(pack(b"CLUSTER", b"SLOTS"))
            except StoreError as one:
                error = one
                continue
            found = read_slots(reply, address)
            if found is not None and found.addresses():
                return found
            why = saying(reply) if isinstance(reply, StoreFault) else "it does not tell its slots"
            error = StoreError(why)
        raise error

    async def _open(self, address: Address) -> Line:
        line = await open_line(address, self._place, self._wait_s, self._context)
        if self._closed:
            line.close("the gateway stops")
            raise StoreError("the gateway stops")
        if not self._place.cluster:
            for other in self._lines.values():
                other.close("another node serves")
            self._lines.clear()
        self._lines[address] = line
        return line
