"""The steward's work in this mode: it hears the topic `throttleData`, fetches what was said before, and writes both to memory.

The workers read that memory (`sight.py`). While the broker is away nothing new is heard, which the memory says too.
"""

from __future__ import annotations

import asyncio
import logging
import random
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.runtime.throttling.choosing.condition_messages import ConditionReader
from microgate.runtime.throttling.counting.table import digest
from microgate.runtime.throttling.traffic_manager import messages, rules
from microgate.runtime.throttling.traffic_manager.asking import NoAnswer
from microgate.runtime.throttling.traffic_manager.memory import (
    ALONE_UNTIL,
    DECISIONS,
    FOREVER,
    MAX_RULES_BYTES,
    WritableDecisions,
)
from microgate.runtime.throttling.traffic_manager.messages import Decision, Template

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.throttling.traffic_manager.asking import Ask
    from microgate.runtime.throttling.traffic_manager.memory import Region
    from microgate.runtime.throttling.traffic_manager.messages import Said

TOPIC = "throttleData"
WRITE_SECONDS = 0.1  # between two writings of rules, so that a flood of messages is one
SWEEP_SECONDS = 15.0
COMPLAIN_SECONDS = 60.0
HEARING_SECONDS = 1.0  # the start waits so long for the broker, so that nothing is fetched twice
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 15.0
MAX_MEANWHILE = 10_000  # messages while the lists are fetched
# What was decided before somebody listened is not told again; a minute is the window of most policies.
SETTLE_MS = 60_000
BYTES_PER_SECOND = 4 << 20  # of rules that workers are given to read

log = logging.getLogger("microgate.throttling")


class Counts:
    """What is counted of decisions."""

    def __init__(
        self, counter: Callable[[str], Callable[[int], None]], gauge: Callable[[str], Callable[[int], None]]
    ) -> None:
        self.misread = counter("throttle_decisions_misread")
        self.refused = counter("throttle_decisions_refused")
        self.held = gauge("throttle_decisions")


class Following:
    """One listener of the topic. It and `keep` share the event loop, so nothing is locked."""

    def __init__(self, region: Region, ask: Ask, counts: Counts) -> None:
        self._memory = WritableDecisions(region)
        self._rules = rules.Rules(rules.read(self._memory.rules()[1]))
        self._ask = ask
        self._counts = counts
        self._conditions = ConditionReader(counts.misread)
        self._held = 0
        self._changed = asyncio.Event()
        self._fetch = asyncio.Event()
        self._meanwhile: list[Said] | None = None
        self._trouble: str | None = None
        self._complained: dict[str, float] = {}
        self._lists_trouble: str | None = None

    # The topic: messaging.brokers.Listener.

    async def take(self, body: bytes, headers: dict[str, object]) -> None:
        said = messages.read(body, headers)
        if said is None:
            self._misread(1)
            return
        if self._meanwhile is not None and not isinstance(said, Decision):
            if len(self._meanwhile) < MAX_MEANWHILE:
                self._meanwhile.append(said)
            else:
                self._fetch.set()  # then once more
        self._apply(said)

    def listening(self) -> None:
        if self._trouble is None:
            log.info("the traffic manager's broker is there: it decides")
        elif self._trouble:
            log.warning("the traffic manager's broker is there again: it decides")
        self._trouble = ""
        self._memory.cells[ALONE_UNTIL] = int(time() * 1000) + SETTLE_MS
        self._fetch.set()

    def down(self, why: str) -> None:
        if not self._trouble:
            log.warning("the traffic manager's broker cannot be had: %s", why)
        self._trouble = why
        self._memory.cells[ALONE_UNTIL] = FOREVER

    # What is said.

    def _apply(self, said: Said) -> None:
        if isinstance(said, Decision):
            self._decide(said)
            return
        room = self._rules.template(said) if isinstance(said, Template) else self._rules.block(said)
        if room is None:
            self._misread(1)
        elif not room:
            self._refuse()
        self._changed.set()

    def _decide(self, said: Decision) -> None:
        key = digest(said.key)
        if not said.throttled:
            self._memory.leave(key)
        elif said.until > time() * 1000 and not self._memory.enter(key, said.until):
            self._refuse()
        if said.throttled and said.conditions and self._conditions.read(said.conditions) is None:
            return  # the group stays as it was; its conditions are what would say whom it holds for
        room = self._rules.decide(said)
        if room is not None:
            self._changed.set()
            if not room:
                self._refuse()

    def _misread(self, count: int) -> None:
        self._counts.misread(count)
        self._complain("a message at the topic `%s` cannot be read; it is passed over", TOPIC)

    def _refuse(self) -> None:
        self._counts.refused(1)
        self._complain("%s: there is no room for more decisions, keys and blocks, so some are not known here", TOPIC)

    def _complain(self, text: str, *values: object) -> None:
        now = monotonic()
        if now - self._complained.get(text, float("-inf")) >= COMPLAIN_SECONDS:
            self._complained[text] = now
            log.warning(text, *values)

    # Writing, and letting go.

    async def keep_written(self) -> None:
        """Write the rules down when they change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            text = self._rules.encode()
            if len(text) <= MAX_RULES_BYTES:
                self._memory.write_rules(text)
            else:
                self._refuse()
            await asyncio.sleep(WRITE_SECONDS + len(text) / BYTES_PER_SECOND)

    async def keep_room(self) -> None:
        """Let go of what is over."""
        while True:
            self._show()
            await asyncio.sleep(SWEEP_SECONDS)
            if self._memory.cells[DECISIONS]:
                for _ in self._memory.sweep():
                    await asyncio.sleep(0)
            if self._rules.sweep(int(time() * 1000)):
                self._changed.set()

    def _show(self) -> None:
        held = self._memory.cells[DECISIONS]
        self._counts.held(held - self._held)
        self._held = held

    # What was said before.

    async def keep_fetched(self) -> None:
        """Fetch key templates and blocks at the start, and whenever the broker was away; try until it succeeds."""
        await self._rest(HEARING_SECONDS)
        failures = 0
        while True:
            self._fetch.clear()
            if await self._load():
                failures = 0
                await self._fetch.wait()
                continue
            failures += 1
            longest = min(FIRST_RETRY_SECONDS * 2 ** min(failures - 1, 8), LONGEST_RETRY_SECONDS)
            await self._rest(longest * (0.5 + random.random() / 2))  # noqa: S311 - spreads calls, no secret

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._fetch.wait()
        except TimeoutError:
            pass

    async def _load(self) -> bool:
        meanwhile = self._meanwhile = []
        try:
            templates, blocks = await self._get("keyTemplates", list), await self._get("block", dict)
        except NoAnswer as error:
            if str(error) != self._lists_trouble:
                log.warning("key templates and blocks cannot be fetched: %s; what is known stays in use", error)
            self._lists_trouble = str(error)
            return False
        finally:
            self._meanwhile = None
        if self._lists_trouble != "":
            log.info("key templates and blocks of the traffic manager are there")
        self._lists_trouble = ""
        room = self._rules.take_templates(templates)
        more, misread = self._rules.take_blocks(blocks)
        if misread:
            self._counts.misread(misread)
            self._complain("%d blocks of the traffic manager cannot be read; they hold nobody up", misread)
        if not (room and more):
            self._refuse()
        # The lists may have been made before these were.
        for said in meanwhile:
            self._apply(said)
        self._changed.set()
        return True

    async def _get(self, path: str, form: type) -> Any:
        status, body = await self._ask(path, b"")
        if status != 200:
            raise NoAnswer(f"`{path}` is answered with {status}")
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise NoAnswer(f"`{path}` is no JSON") from None
        if not isinstance(found, form):
            raise NoAnswer(f"`{path}` has another form")
        return found
