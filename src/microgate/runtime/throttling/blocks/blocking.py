"""Callers that are shut out: the stage that asks, and what one worker knows of them (WSO2 §11.3).

Blocks come from several sources, each of which replaces its own alone: the project, the file that `blocking_file.py` follows, a
traffic manager. What a source tells at run time comes over the steward's channel, in parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.address_ranges import Ranges, number_of
from microgate.runtime.control import BlockList
from microgate.runtime.faults import Fault
from microgate.runtime.throttling.choosing.identities import owned_application_of, without_tenant

if TYPE_CHECKING:
    from microgate.plan.model import Api, Block
    from microgate.runtime.control import Channel
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.pipeline import Stage

PROJECT = "project"
MAX_REMEMBERED = 4_096  # addresses

API = Fault(faults.BLOCKED, "throttle.blocked.api")
USER = Fault(faults.BLOCKED, "throttle.blocked.user")
APPLICATION = Fault(faults.BLOCKED, "throttle.blocked.application")
ADDRESS = Fault(faults.BLOCKED, "throttle.blocked.address")


class Blocks:
    """All that one worker knows. `active` is false while nobody is shut out."""

    def __init__(self, channel: Channel | None = None) -> None:
        self.active = False
        self._sources: dict[str, tuple[Block, ...]] = {}
        self._arriving: dict[str, list[Block]] = {}
        self._apis: frozenset[str] = frozenset()
        self._users: frozenset[str] = frozenset()
        self._applications: frozenset[str] = frozenset()
        self._denied = Ranges(())
        self._allowed: tuple[Ranges, ...] = ()
        self._judged: dict[str, bool] = {}  # by client, whether its address is shut out
        if channel is not None:
            channel.subscribe(BlockList, self.on_part)

    def replace(self, source: str, blocks: tuple[Block, ...]) -> None:
        """What this source says from now on. Raises ValueError for an address that is none, and changes nothing then."""
        sources = {**self._sources, source: blocks}
        every = [block for one in sources.values() for block in one]
        named: dict[str, set[str]] = {"api": set(), "user": set(), "application": set()}
        for block in every:
            if block.kind in named:
                named[block.kind].add(_told(block))
        addresses = [block for block in every if block.kind == "address"]
        denied = Ranges(text for block in addresses if not block.invert for text in block.networks)
        allowed = tuple(Ranges(block.networks) for block in addresses if block.invert)
        self._sources = sources
        self._apis, self._users, self._applications = (frozenset(names) for names in named.values())
        self._denied, self._allowed = denied, allowed
        self._judged.clear()
        self.active = bool(every)

    def on_part(self, message: BlockList) -> None:
        """A part of a source's list; the last one puts the list in force."""
        if message.part == 0:
            self._arriving[message.source] = []
        arriving = self._arriving.get(message.source)
        if arriving is None:
            return
        arriving += message.blocks
        if message.is_last:
            self.replace(message.source, tuple(self._arriving.pop(message.source)))

    def check(self, exchange: Exchange, contexts: frozenset[str]) -> Fault | None:
        """The refusal of a request to an API that goes by these names; None where nobody shuts it out."""
        if self._apis and not self._apis.isdisjoint(contexts):
            return API
        if (self._denied or self._allowed) and self._denies(exchange.client):
            return ADDRESS
        consumer = exchange.consumer
        if consumer is None or not (self._users or self._applications):
            return None
        for who in (consumer, *exchange.beside) if exchange.beside else (consumer,):
            fault = self._check_caller(who)
            if fault is not None:
                return fault
        return None

    def _check_caller(self, consumer: Consumer) -> Fault | None:
        if self._users and without_tenant(consumer.name) in self._users:
            return USER
        if self._applications and owned_application_of(consumer) in self._applications:
            return APPLICATION
        return None

    def _denies(self, client: str) -> bool:
        """An address that nobody can read is outside of every range, so that it is shut out where only some may call."""
        found = self._judged.get(client)
        if found is None:
            number = number_of(client)
            outside = any(number is None or number not in ranges for ranges in self._allowed)
            found = outside or (number is not None and number in self._denied)
            if len(self._judged) >= MAX_REMEMBERED:
                self._judged.clear()
            self._judged[client] = found
        return found


def link(blocks: Blocks | None, api: Api) -> Stage | None:
    """The stage of an operation; None where nothing can shut anybody out."""
    if blocks is None:
        return None
    contexts = frozenset({api.base_path, f"{api.base_path.rstrip('/')}/{api.version}"})

    def check_blocks(exchange: Exchange) -> Fault | None:
        return blocks.check(exchange, contexts) if blocks.active else None

    return check_blocks


def _told(block: Block) -> str:
    """What a request is compared with: users of the first tenant go by two names, base paths end without a slash."""
    if block.kind == "api":
        return block.value.rstrip("/") or "/"
    if block.kind == "user":
        return without_tenant(block.value)
    owner, _, name = block.value.partition(":")
    return f"{without_tenant(owner)}:{name}"
