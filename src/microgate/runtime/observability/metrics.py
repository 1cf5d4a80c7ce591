"""Counters in shared memory: how the region is laid out, the end that a worker writes and the end that is summed.

The region is one array of 64-bit words: a block per worker slot, written by that worker alone, and one for the steward.
A successor goes on in its slot's block. ledger.py adds generations up; what the numbers are called outside is in exposition.py.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

from microgate.runtime import faults
from microgate.runtime.pipeline import Labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from mmap import mmap

    from microgate.plan.model import Plan

Region: TypeAlias = "mmap | memoryview | bytearray"

# Upper bounds in microseconds: the buckets OpenTelemetry recommends for http.server.request.duration.
BOUNDS_US = (
    5_000,
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    250_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
)
BUCKETS = len(BOUNDS_US) + 1

# What a worker or the steward counts that belongs to no operation, and what it says of the present.
COUNTERS = (
    "connections_accepted",
    "connections_refused",
    "connections_idle_closed",
    "connections_used_up",
    "proxy_protocol_errors",
    "tls_handshake_errors",
    "client_certificates_refused",
    "pipelining_pauses",
    "upstream_connections_opened",
    "upstream_connect_failures",
    "upstream_waits",
    "upstream_resends",
    "access_log_lines",
    "access_log_lines_dropped",
    "worker_starts",
    "token_verifications",
    "backend_tokens",
    "backend_token_failures",
    "token_verdicts_evicted",
    "key_set_fetches",
    "key_set_failures",
    "revocations_added",
    "revocations_misread",
    "revocations_refused",
    "service_calls",
    "service_call_failures",
    "proofs_replayed",
    "proofs_without_room",
    "limit_keys_sharing",
    "limit_store_decisions",
    "limit_store_absences",
    "limit_counts_shared",
    "limit_counts_unshared",
    "throttle_events_sent",
    "throttle_events_dropped",
    "throttle_events_failed",
    "throttle_decisions_misread",
    "throttle_decisions_refused",
)
GAUGES = (
    "active_requests",  # changed by `beginner` and `recorder`
    "connections",
    "upstream_connections",
    "token_verdicts",
    "token_verdict_bytes",
    "revocations",
    "limit_keys",
    "throttle_decisions",
    "adaptive_limits",
    "overloaded_workers",
    "limit_stores_away",
)

# What a limit decides of a request: `over` and `shadow` passed although there was nothing left.
VERDICTS = ("admitted", "refused", "over", "shadow")
# The levels at which the policies of a kind may count (WSO2 §11.1).
_LEVELS = {
    "resource": ("api", "resource"),
    "subscription": ("subscription", "unauthenticated"),
    "application": ("application",),
    "custom": ("custom",),
}

UNROUTED = 0  # the row of requests that belong to no operation

# A row has a histogram for each status it has seen; those that find no slot of their own share the last one.
STATUS_SLOTS = 8
OTHER_STATUS = -1

_WORD = 8
_PAGE_WORDS = 512
_PID = 0  # of the worker that serves, written by the steward
_GAUGES = 1
_COUNTERS = _GAUGES + len(GAUGES)
_TOUCHED = _COUNTERS + len(COUNTERS)  # one word per row, not zero once the row has been written to

_SLOT_WORDS = 2 + BUCKETS  # status, sum of microseconds, buckets
_UPSTREAM = STATUS_SLOTS * _SLOT_WORDS  # sum of microseconds, buckets
_GATEWAY_US = _UPSTREAM + 1 + BUCKETS
_BYTES_IN = _GATEWAY_US + 1
_BYTES_OUT = _BYTES_IN + 1
_FAULTS = _BYTES_OUT + 1
_ROW_WORDS = _FAULTS + len(faults.KINDS)

_KIND_POSITIONS = {kind.label: position for position, kind in enumerate(faults.KINDS)}

Record: TypeAlias = "Callable[[int, int, int, int, int, int], None]"


def rows(plan: Plan) -> tuple[Labels, ...]:
    """The rows in their order: first what was not routed, then the plan's operations, and last `/health`."""
    found = [Labels(index=UNROUTED, api="", version="", operation_id="", method="", route="")]
    for api in plan.apis:
        base = "" if api.base_path == "/" else api.base_path
        for operation in api.operations:
            found.append(
                Labels(
                    index=len(found),
                    api=api.name,
                    version=api.version,
                    operation_id=operation.id,
                    method=operation.method,
                    route=base + operation.path,
                )
            )
    found.append(Labels(index=len(found), api="", version="", operation_id="health", method="", route="/health"))
    return tuple(found)


def limits(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Level and policy of all limits that a plan can have, in the order of their words in a block."""
    return tuple((level, policy.name) for policy in plan.policies for level in _LEVELS[policy.level])


def region_size(plan: Plan, workers: int) -> int:
    """Bytes of the region for so many worker slots; untouched pages of it cost nothing."""
    return (workers + 1) * _block_words(plan) * _WORD


def _count_rows(plan: Plan) -> int:
    return sum(len(api.operations) for api in plan.apis) + 2


def _decisions(plan: Plan) -> int:
    """Where in a block the words of limits begin: behind all rows, with one that nobody reads."""
    return _TOUCHED + _count_rows(plan) * (1 + _ROW_WORDS)


def _block_words(plan: Plan) -> int:
    words = _decisions(plan) + 1 + len(limits(plan)) * len(VERDICTS)
    return -(-words // _PAGE_WORDS) * _PAGE_WORDS


class Metrics:
    """The block of one slot, for its only writer; the steward's slot is the one behind the workers'."""

    def __init__(self, region: Region, plan: Plan, slot: int) -> None:
        row_count = _count_rows(plan)
        self._cells = memoryview(region).cast("B").cast("q")
        self._base = slot * _block_words(plan)
        self._rows = self._base + _TOUCHED + row_count
        self._plan = plan
        self.forget_present()  # what a dead predecessor held is gone

    def forget_present(self) -> None:
        """The process of this slot has ended: nothing of it is in flight or open."""
        for position in range(len(GAUGES)):
            self._cells[self._base + _GAUGES + position] = 0

    def gauge(self, name: str) -> Callable[[int], None]:
        """The function that changes one of `GAUGES` by a difference."""
        return self._adder(_GAUGES + GAUGES.index(name))

    def counter(self, name: str) -> Callable[[int], None]:
        """The function that adds to one of `COUNTERS`."""
        return self._adder(_COUNTERS + COUNTERS.index(name))

    def _adder(self, offset: int) -> Callable[[int], None]:
        cells, cell = self._cells, self._base + offset

        def add(count: int) -> None:
            cells[cell] += count

        return add

    def beginner(self) -> Callable[[], int]:
        """The function that says that an exchange is in flight, and gets to know how many there are now."""
        cells, active = self._cells, self._base + _GAUGES

        def begin() -> int:
            count: int = cells[active] + 1
            cells[active] = count
            return count

        return begin

    def recorder(self, row: int) -> Record:
        """The function that enters an exchange that has ended into a row.

        It takes the status, the microseconds of the whole, of the upstream (below zero: no backend was asked) and of the
        gateway itself, and the bytes of the request's and the answer's body.
        """
        cells, active = self._cells, self._base + _GAUGES
        base = self._rows + row * _ROW_WORDS
        upstream, gateway = base + _UPSTREAM, base + _GATEWAY_US
        received, sent = base + _BYTES_IN, base + _BYTES_OUT
        slots = _Slots(cells, base, self._base + _TOUCHED + row)

        def record(
            status: int, total_us: int, upstream_us: int, gateway_us: int, bytes_in: int, bytes_out: int
        ) -> None:
            cells[active] -= 1
            slot = slots[status]
            cells[slot] += total_us
            cells[slot + 1 + bisect_left(BOUNDS_US, total_us)] += 1
            cells[gateway] += gateway_us
            if upstream_us >= 0:
                cells[upstream] += upstream_us
                cells[upstream + 1 + bisect_left(BOUNDS_US, upstream_us)] += 1
            if bytes_in:
                cells[received] += bytes_in
            if bytes_out:
                cells[sent] += bytes_out

        return record

    def fault_counter(self, row: int) -> Callable[[str], None]:
        """The function that counts a fault in a row, by its kind's label."""
        cells = self._cells
        base = self._rows + row * _ROW_WORDS + _FAULTS

        def add(label: str) -> None:
            cells[base + _KIND_POSITIONS[label]] += 1

        return add

    def decisions(self) -> tuple[memoryview, dict[tuple[str, str], int]]:
        """All words, and for each level and policy which one counts the first of `VERDICTS`; no name: one that nobody reads."""
        unread = self._base + _decisions(self._plan)
        places = {one: unread + 1 + len(VERDICTS) * at for at, one in enumerate(limits(self._plan))}
        return self._cells, {("", ""): unread, **places}


class _Slots(dict[int, int]):
    """Status to the cell of its sum in one row; a status not seen before takes the next free slot."""

    def __init__(self, cells: memoryview, base: int, touched: int) -> None:
        super().__init__()
        self._cells = cells
        self._base = base
        self._touched = touched

    def __missing__(self, status: int) -> int:
        cells = self._cells
        cells[self._touched] = 1
        if status > 0:
            for slot in range(STATUS_SLOTS - 1):
                cell = self._base + slot * _SLOT_WORDS
                if cells[cell] == 0:
                    cells[cell] = status
                if cells[cell] == status:
                    self[status] = cell + 1
                    return cell + 1
        cell = self._base + (STATUS_SLOTS - 1) * _SLOT_WORDS
        cells[cell] = OTHER_STATUS
        return cell + 1  # not kept: a backend could make up any number of statuses


class Histogram:
    """Buckets that are not yet cumulative, their sum in microseconds."""

    __slots__ = ("buckets", "sum_us")

    def __init__(self) -> None:
        self.sum_us = 0
        self.buckets = [0] * BUCKETS

    def add(self, cells: memoryview, cell: int) -> None:
        self.sum_us += cells[cell]
        for position in range(BUCKETS):
            self.buckets[position] += cells[cell + 1 + position]

    def fold(self, other: Histogram) -> None:
        self.sum_us += other.sum_us
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Row:
    """What all workers together counted for one operation."""

    __slots__ = ("bytes_in", "bytes_out", "faults", "gateway_us", "statuses", "upstream")

    def __init__(self) -> None:
        self.statuses: dict[int, Histogram] = {}
        self.upstream = Histogram()
        self.gateway_us = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.faults = [0] * len(faults.KINDS)

    @property
    def count(self) -> int:
        return sum(histogram.count for histogram in self.statuses.values())

    def add(self, cells: memoryview, base: int) -> None:
        for slot in range(base, base + _UPSTREAM, _SLOT_WORDS):
            if cells[slot] != 0:
                self.statuses.setdefault(cells[slot], Histogram()).add(cells, slot + 1)
        self.upstream.add(cells, base + _UPSTREAM)
        self.gateway_us += cells[base + _GATEWAY_US]
        self.bytes_in += cells[base + _BYTES_IN]
        self.bytes_out += cells[base + _BYTES_OUT]
        for position in range(len(self.faults)):
            self.faults[position] += cells[base + _FAULTS + position]

    def fold(self, other: Row) -> None:
        """Add what was counted for the same operation elsewhere."""
        for status, histogram in other.statuses.items():
            self.statuses.setdefault(status, Histogram()).fold(histogram)
        self.upstream.fold(other.upstream)
        self.gateway_us += other.gateway_us
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.faults = [mine + theirs for mine, theirs in zip(self.faults, other.faults, strict=True)]


class Totals:
    """The region as the steward sees it: sums over all blocks, and who serves."""

    def __init__(self, region: Region, plan: Plan, workers: int) -> None:
        self.workers = workers
        self._row_count = _count_rows(plan)
        self._block = _block_words(plan)
        self._limits = limits(plan)
        self._decisions = _decisions(plan)
        self._cells = memoryview(region).cast("B").cast("q")

    def counter(self, name: str) -> int:
        return self._sum(_COUNTERS + COUNTERS.index(name))

    def gauge(self, name: str) -> int:
        return self._sum(_GAUGES + GAUGES.index(name))

    def _sum(self, offset: int) -> int:
        return int(sum(self._cells[offset : (self.workers + 1) * self._block : self._block]))

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Rows that were written to, with their position; the others' memory is not looked at."""
        blocks = range(0, (self.workers + 1) * self._block, self._block)
        for position in range(self._row_count):
            row = None
            for block in blocks:
                if self._cells[block + _TOUCHED + position]:
                    row = row or Row()
                    row.add(self._cells, block + _TOUCHED + self._row_count + position * _ROW_WORDS)
            if row is not None:
                yield position, row

    def decisions(self) -> dict[tuple[str, str], list[int]]:
        """For each level and policy how often each of `VERDICTS` was given; those that decided nothing are left out."""
        found = {}
        for position, name in enumerate(self._limits):
            first = self._decisions + 1 + len(VERDICTS) * position
            counts = [self._sum(first + verdict) for verdict in range(len(VERDICTS))]
            if any(counts):
                found[name] = counts
        return found

    def close(self) -> None:
        """Let go of the region, so that it can be closed."""
        self._cells.release()

    def mark_serving(self, slot: int, pid: int) -> bool:
        """A worker said hello; True if it is another than before."""
        cell = slot * self._block + _PID
        if self._cells[cell] == pid:
            return False
        self._cells[cell] = pid
        return True

    @property
    def serving(self) -> int:
        """How many slots have ever had a worker that serves."""
        return sum(1 for slot in range(self.workers) if self._cells[slot * self._block + _PID])
