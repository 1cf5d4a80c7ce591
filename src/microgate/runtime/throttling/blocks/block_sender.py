"""The steward's side of blocks: a source's list on its way to all workers, in parts that fit into messages.

What finds no room is sent again later, and a worker that begins anew gets the whole list. `blocking.py` puts it together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microgate.runtime.control import BlockList, Hello

if TYPE_CHECKING:
    from microgate.plan.model import Block
    from microgate.runtime.control import Hub

MAX_NETWORKS = 1_000  # of one block, so that each fits into a message
PART_BYTES = 32_768


class BlockSender:
    """One source of blocks."""

    def __init__(self, hub: Hub, source: str) -> None:
        self._hub = hub
        self._source = source
        self._parts: list[BlockList] = []
        self._waiting: dict[int, int] = {}  # by slot, the part that it gets next
        hub.subscribe(Hello, self._on_hello)

    def replace(self, blocks: tuple[Block, ...]) -> None:
        """What the source says from now on; `push` sends it."""
        groups = _divide(blocks)
        last = len(groups) - 1
        self._parts = [
            BlockList(self._source, position, is_last=position == last, blocks=tuple(group))
            for position, group in enumerate(groups)
        ]
        self._waiting = dict.fromkeys(range(self._hub.workers), 0)

    def push(self) -> bool:
        """Send as much as there is room for; False where some is left."""
        for slot in tuple(self._waiting):
            self._push_to(slot)
        return not self._waiting

    def _push_to(self, slot: int) -> None:
        for position in range(self._waiting[slot], len(self._parts)):
            if not self._hub.send(slot, self._parts[position]):
                self._waiting[slot] = position
                return
        del self._waiting[slot]

    def _on_hello(self, slot: int, message: Hello) -> None:
        if self._parts:
            self._waiting[slot] = 0
            self._push_to(slot)


def _divide(blocks: tuple[Block, ...]) -> list[list[Block]]:
    """Groups of which each fits into a message; one at least, since no blocks are news too."""
    groups: list[list[Block]] = [[]]
    size = 0
    for block in blocks:
        length = len(msgspec.msgpack.encode(block))
        if groups[-1] and size + length > PART_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(block)
        size += length
    return groups
