"""What a request counts by the status of its answer: known only at its end, when the difference to what was taken is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from microgate.plan.model import Policy
    from microgate.runtime.throttling.afterwards.dues import Dues
    from microgate.runtime.throttling.counting.table import Table


class Adjustable(Protocol):
    """A counter whose past can be changed a little."""

    def adjust(self, taken_at: float, now: float, difference: int) -> None:
        """Count what was taken at a moment as so many more, or fewer; nothing where its window is over."""


class Weights:
    """A policy's. Of a status and its class, the status decides."""

    def __init__(self, weights: tuple[tuple[str, int], ...]) -> None:
        said = dict(weights)
        self._by_status = {
            status: said.get(str(status), said.get(f"{status // 100}xx", 1)) for status in range(100, 600)
        }

    def of(self, status: int) -> int:
        """1 where nothing is said."""
        return self._by_status.get(status, 1)


def weights_of(policy: Policy) -> Weights | None:
    return Weights(policy.weights) if policy.weights else None


class Weighing:
    """The counter of one key with the weights of its policy."""

    __slots__ = ("_counter", "_table", "_turns", "_weights")

    def __init__(self, counter: Adjustable, weights: Weights, table: Table) -> None:
        self._counter = counter
        self._weights = weights
        self._table = table
        self._turns = table.turns

    def join(self, dues: Dues, now: float) -> None:
        dues.weighings.append((self, now))

    def settle(self, status: int, cost: int, taken_at: float, now: float) -> None:
        difference = cost * (self._weights.of(status) - 1)
        table = self._table
        # A process that has given its column up cannot take back what it wrote there: such a request counts once.
        if difference and table.turns == self._turns:
            if table.exclusive:
                self._counter.adjust(taken_at, now, difference)
            else:
                with table.locked():
                    self._counter.adjust(taken_at, now, difference)
