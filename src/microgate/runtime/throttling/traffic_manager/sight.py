"""What one worker sees of the traffic manager's word: keys are looked up in memory, rules are read anew when they change.

A timer looks for changes, so that no request pays for them. `stage.py` asks.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from microgate.runtime.throttling.blocks.blocking import Blocks
from microgate.runtime.throttling.traffic_manager import groups, rules
from microgate.runtime.throttling.traffic_manager.memory import VERSION, Decisions

if TYPE_CHECKING:
    import asyncio

    from microgate.plan.model import Block
    from microgate.runtime.throttling.traffic_manager.groups import GroupSet
    from microgate.runtime.throttling.traffic_manager.memory import Region
    from microgate.settings.throttling import Throttling

LOOK_SECONDS = 0.2
_SOURCE = "traffic manager"

log = logging.getLogger("microgate.throttling")


class Sight:
    """`version` changes with the rules; `groups` are by the key of an API or operation."""

    def __init__(self, region: Region, settings: Throttling, loop: asyncio.AbstractEventLoop) -> None:
        self._memory = Decisions(region)
        self.cells = self._memory.cells
        self.until = self._memory.until
        self.version = -1
        self.templates: tuple[str, ...] = ()
        self.groups: dict[str, GroupSet] = {}
        self._settings = settings
        self._loop = loop
        self._blocks: dict[str, Blocks] = {}  # by tenant
        self._listed: tuple[rules.TenantBlock, ...] = ()
        self._compiled: groups.Compiled = {}
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def blocks_of(self, tenant: str) -> Blocks:
        """The blocks that hold for the APIs of a tenant; they stay up to date."""
        if tenant not in self._blocks:
            found = self._blocks[tenant] = Blocks()
            found.replace(_SOURCE, self._listed_for(tenant))
        return self._blocks[tenant]

    def _listed_for(self, tenant: str) -> tuple[Block, ...]:
        return tuple(one.block for one in self._listed if one.tenant in ("", tenant))

    def _look(self) -> None:
        if self.cells[VERSION] != self.version:
            try:
                self._read()
            except Exception:
                log.exception("the rules of the traffic manager cannot be used")
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)

    def _read(self) -> None:
        self.version, text = self._memory.rules()
        written = rules.read(text)
        self.templates = tuple(template for template, (added, _) in written.templates.items() if added)
        self._compiled, self.groups = groups.link(written.groups, self._settings, self._compiled)
        if written.blocks != self._listed:
            self._listed = written.blocks
            for tenant, blocks in self._blocks.items():
                blocks.replace(_SOURCE, self._listed_for(tenant))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
