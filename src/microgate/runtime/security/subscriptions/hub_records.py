"""A worker's copy of what the steward knows of the event hub's applications and subscriptions (`event_hub.py`).

A caller and an API are looked up once, for all requests of this worker that wait meanwhile, and kept until the steward says
that something changed. What was known stays in use while neither steward nor hub can say anything new; a steward that is
silent some times in a row makes nobody wait for a while.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.control import Subscriber, SubscribersChanged, SubscriberWanted
from microgate.runtime.exchange import Application
from microgate.runtime.security.breaker import Breaker
from microgate.runtime.security.subscriptions.stage import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from microgate.runtime.control import Channel

WAIT_SECONDS = 5.0
MAX_WAITING = 1_024
MAX_RECORDS = 20_000
MAX_KEY_CHARACTERS = 512  # a longer consumer key is nobody's

Key = tuple[str, str]


class _Kept(NamedTuple):
    record: Record | None
    good_until: float
    epoch: int


class HubRecords:
    """By consumer key and API. `epoch` changes when the steward says that its data did."""

    def __init__(self, channel: Channel, wait_s: float = WAIT_SECONDS) -> None:
        self.epoch = 0
        self._wait_s = wait_s
        self._steward = Breaker("steward, asked for subscriptions,")
        self._channel = channel
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._asked: dict[Key, asyncio.Future[Record | None]] = {}
        channel.subscribe(Subscriber, self._on_subscriber)
        channel.subscribe(SubscribersChanged, self._on_change)

    def find(self, consumer_key: str, api_id: str) -> Record | Awaitable[Record | None] | None:
        """The record; an awaitable where the steward has to be asked, which raises ConnectionError where nobody can say."""
        if len(consumer_key) > MAX_KEY_CHARACTERS:
            return None
        key = (consumer_key, api_id)
        kept = self._kept.get(key)
        if kept is not None and kept.epoch == self.epoch and monotonic() < kept.good_until:
            self._kept.move_to_end(key)
            return kept.record
        return self._ask(key)

    async def _ask(self, key: Key) -> Record | None:
        answer = self._asked.get(key)
        if answer is None:
            if (
                self._steward.is_open
                or len(self._asked) >= MAX_WAITING
                or not self._channel.send(SubscriberWanted(*key))
            ):
                return self._last(key)
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
            self._steward.waiting = len(self._asked)
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.shield(answer)
        except TimeoutError:
            # Of all who wait for one answer the first one speaks.
            if self._asked.get(key) is answer:
                del self._asked[key]
                self._steward.waiting = len(self._asked)
                self._steward.fail(f"no answer within {self._wait_s:g} s")
            return self._last(key)
        except ConnectionError:
            return self._last(key)

    def _last(self, key: Key) -> Record | None:
        kept = self._kept.get(key)
        if kept is None or kept.record is None:
            raise ConnectionError
        return kept.record

    def _on_subscriber(self, message: Subscriber) -> None:
        key = (message.consumer_key, message.api_id)
        answer = self._asked.pop(key, None)
        self._steward.waiting = len(self._asked)
        self._steward.succeed()
        record: Record | None = None
        if message.known:
            record = Record(
                Application(*message.application),
                message.key_type,
                message.tier,
                message.publisher,
                message.state,
            )
        if message.available:
            self._kept[key] = _Kept(record, monotonic() + message.good_for_s, self.epoch)
            self._kept.move_to_end(key)
            if len(self._kept) > MAX_RECORDS:
                self._kept.popitem(last=False)
        if answer is None or answer.done():
            return
        if message.available:
            answer.set_result(record)
        else:
            answer.set_exception(ConnectionError())
            answer.exception()  # whoever waits gets it; nobody may wait any more

    def _on_change(self, message: SubscribersChanged) -> None:
        self.epoch += 1
