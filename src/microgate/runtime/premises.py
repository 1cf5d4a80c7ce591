"""What outlives generations: listeners, TLS contexts, what was counted and revoked, and the bounds that the machine sets.

The supervisor opens it once, before any fork.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microgate.runtime import capacity
from microgate.runtime.listeners import Listeners, has_token_listener, open_listeners
from microgate.runtime.observability.ledger import Ledger
from microgate.runtime.observability.log_gate import LogGate
from microgate.runtime.regions import Regions
from microgate.runtime.security.certificates.replay import open_region
from microgate.runtime.security.revocation import memory as revocation
from microgate.runtime.throttling.counting import in_flight, table
from microgate.runtime.tls import ServerTls

if TYPE_CHECKING:
    import mmap

    from microgate.runtime.throttling.counting.state_file import StateFile
    from microgate.runtime.throttling.counting.table import LimitRegion
    from microgate.runtime.worker import Assemble
    from microgate.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Premises:
    listeners: Listeners
    tls: ServerTls | None
    slots: int  # of workers
    max_connections: int  # per worker
    assemble: Assemble
    ledger: Ledger
    log_gate: LogGate
    regions: Regions
    counts: StateFile | None  # of limits, where they outlive the gateway

    def close(self) -> None:
        """Nobody serves any more."""
        self.listeners.close()
        if self.counts is not None:
            self.counts.write()


def open_premises(settings: Settings, assemble: Assemble, slots: int) -> Premises:
    """Open everything; raises StartError or KeyMaterialError, and leaves nothing open then."""
    _preload(settings)
    descriptors = capacity.raise_descriptor_limit()
    speaks_tls = settings.listener.https_port >= 0 or has_token_listener(settings)
    tls = ServerTls(settings.listener) if speaks_tls else None
    limits = table.open_region(slots, settings.throttling.max_keys)
    counts = _take_up_counts(limits, settings.throttling.state_file)
    return Premises(
        listeners=open_listeners(settings, slots),
        tls=tls,
        slots=slots,
        max_connections=capacity.connection_limit(settings.listener.max_connections, descriptors),
        assemble=assemble,
        ledger=Ledger(),
        log_gate=LogGate(),
        regions=Regions(
            replays=open_region(slots),
            revocations=revocation.make_memory(settings),
            limits=limits,
            in_flight=in_flight.open_in_flight(slots, settings.throttling.max_keys),
            decisions=_decisions(settings),
        ),
        counts=counts,
    )


def _decisions(settings: Settings) -> mmap.mmap | None:
    """What a traffic manager decides; its code is not imported where the settings name none."""
    if not settings.throttling.enabled_global_tm_event_publishing:
        return None
    from microgate.runtime.throttling.traffic_manager.memory import make_memory

    return make_memory()


def _take_up_counts(limits: LimitRegion, path: str) -> StateFile | None:
    if not path:
        return None
    from microgate.runtime.throttling.counting.state_file import StateFile

    counts = StateFile(limits, path)
    counts.read()
    return counts


def _preload(settings: Settings) -> None:
    """Import what every child will need, once: their memory for it is shared, and a successor starts faster."""
    modules = ["uvloop", "concurrent.futures.thread", "ctypes"]
    if settings.issuers:
        modules.append("microgate.runtime.security.tokens.issuers")
    for module in modules:
        with suppress(ImportError):
            importlib.import_module(module)


def can_fork() -> bool:
    """Whether this system has what a crew of processes needs: fork, SEQPACKET pairs, and ports shared evenly."""
    return sys.platform == "linux"
