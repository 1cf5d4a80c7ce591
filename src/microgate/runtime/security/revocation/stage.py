"""The stage that refuses what was revoked, whatever is remembered of it: one comparison for who was cleared before.

All kinds of credentials pass it. While not all that was revoked is known and the settings say `closed`, nobody passes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from microgate.runtime import faults
from microgate.runtime.security.refusals import Reason
from microgate.runtime.security.revocation import marks
from microgate.runtime.security.revocation.table import CLOSED, ENTRIES, EPOCH, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Operation
    from microgate.runtime.exchange import Consumer, Exchange
    from microgate.runtime.faults import Fault
    from microgate.runtime.pipeline import Stage
    from microgate.runtime.security.context import SecurityContext
    from microgate.runtime.security.revocation.table import Region

REVOKED = Reason("auth.revoked", "the access token was revoked")
UNKNOWN = Reason("auth.revocations_unavailable", kind=faults.REVOCATIONS_UNAVAILABLE)

NEVER_SEEN = -1  # `Consumer.cleared` before its marks are known
SEEN = -2


class Revocations:
    """What was revoked, for the stages of one worker."""

    def __init__(self, region: Region, clock: Callable[[], float] = time.time) -> None:
        self.table = Table(region)
        self._clock = clock

    def stands(self, consumer: Consumer) -> bool | None:
        """Whether nothing of it was revoked; None where that cannot be known now."""
        cells = self.table.cells
        epoch = cells[EPOCH]
        if cells[CLOSED]:
            return None
        if cells[ENTRIES] and any(self._is_revoked(consumer, key) for key in consumer.revocation_keys):
            return False
        consumer.cleared = epoch
        return True

    def _is_revoked(self, consumer: Consumer, key: bytes) -> bool:
        before = self.table.find(key, self._clock())
        if before is None:
            return False
        issued = consumer.claims.get("iat")
        # Nobody knows whether a token without a date is an old one.
        return before == 0 or not isinstance(issued, int | float) or issued < before


def mark(consumer: Consumer, credential: bytes) -> None:
    """Note by what a caller can be revoked, once for each that is judged."""
    if consumer.cleared == NEVER_SEEN:
        consumer.revocation_keys = marks.of(consumer, credential)
        consumer.cleared = SEEN


def link(context: SecurityContext, operation: Operation) -> Stage | None:
    """The stage of an operation, None where it is open or nothing can be revoked."""
    revocations = context.revocations
    security = operation.security
    if revocations is None or (security.opened_by and not context.asks_clients):
        return None
    known = context.refusals(security.schemes)
    refused, unknown = known.fault(REVOKED), known.fault(UNKNOWN)
    cells, stands = revocations.table.cells, revocations.stands

    def check(exchange: Exchange) -> Fault | None:
        consumer = exchange.consumer
        if exchange.beside:
            return check_all(exchange)
        if consumer is None or consumer.cleared == cells[EPOCH]:
            return None
        return judge(consumer)

    def check_all(exchange: Exchange) -> Fault | None:
        """Everything that vouched for the caller has to stand, the certificate of its connection included."""
        for who in (*exchange.beside, exchange.consumer):
            fault = None if who is None or who.cleared == cells[EPOCH] else judge(who)
            if fault is not None:
                return fault
        return None

    def judge(consumer: Consumer) -> Fault | None:
        mark(consumer, b"")
        outcome = stands(consumer)
        if outcome:
            return None
        return unknown if outcome is None else refused

    return check
