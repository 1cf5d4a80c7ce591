"""The verdicts on tokens that were verified: bounded in bytes, least recently used first out, never past their end.

Only good tokens have a verdict, so a flood of forged ones can neither evict one nor take memory. The key is the header
field's whole value: one changed byte is another token.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.security.counting import uncounted

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Consumer
    from microgate.runtime.security.counting import Counter

# What one entry takes besides the bytes of its key: objects, and claims decoded to several times their text. Measured
# with tokens of 10 to 100 claims; tests hold the sum against the allocator's.
_FIXED_BYTES = 1_500
_BYTES_PER_KEY_BYTE = 7


class Verdict(NamedTuple):
    """A verified token: who calls, and from when (seconds since 1970) it is to be looked at anew.

    `text_bytes` is the length of what the claims were read from, where the key is not that text.
    """

    until: float
    consumer: Consumer
    text_bytes: int = 0


class Verdicts:
    """A map from header value to verdict, bounded in bytes and entries. `find` is what the common way calls.

    `counter` and `gauge` give the functions that change a metric; finding a verdict changes none.
    """

    def __init__(
        self,
        capacity_bytes: int,
        max_entries: int,
        clock: Callable[[], float],
        counter: Counter = uncounted,
        gauge: Counter = uncounted,
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.max_entries = max_entries
        self.size_bytes = 0
        self._entries: OrderedDict[bytes, Verdict] = OrderedDict()
        self._clock = clock
        self._evicted = counter("token_verdicts_evicted")
        self._show_entries = gauge("token_verdicts")
        self._show_bytes = gauge("token_verdict_bytes")

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, value: bytes) -> Consumer | None:
        entry = self._entries.get(value)
        if entry is None:
            return None
        if self._clock() >= entry[0]:
            self._remove(value)
            return None
        self._entries.move_to_end(value)
        return entry[1]

    def keep(self, value: bytes, verdict: Verdict) -> None:
        """Remember a verdict, at the cost of the oldest; one that is larger than the whole capacity is not kept."""
        kept = self._entries
        if value in kept:
            self._remove(value)
        kept[value] = verdict
        more, grown = 1, _size(value, verdict)
        while self.size_bytes + grown > self.capacity_bytes or len(kept) > self.max_entries:
            oldest, gone = kept.popitem(last=False)
            more -= 1
            grown -= _size(oldest, gone)
            self._evicted(1)
        self._change(more, grown)

    def clear(self) -> None:
        """Forget everything: a key that vouched for some of it is gone."""
        self._change(-len(self._entries), -self.size_bytes)
        self._entries.clear()

    def _remove(self, value: bytes) -> None:
        self._change(-1, -_size(value, self._entries.pop(value)))

    def _change(self, entries: int, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self._show_entries(entries)
        self._show_bytes(size_bytes)


def _size(value: bytes, verdict: Verdict) -> int:
    return _FIXED_BYTES + _BYTES_PER_KEY_BYTE * (len(value) + verdict.text_bytes)
