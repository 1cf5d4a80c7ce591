"""How many wrong passwords one address may send, and may be sent for one user, within a sliding window.

One worker's count. A credential that was verified before is never held up by it, see `scheme.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_KEYS = 32_768


class GuessLimit:
    """Failures of one kind of key. A `limit` of 0 is none.

    Two counts for a key, of this window and the one before, weighted by how much of it still lies in the sliding one.
    """

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def is_reached(self, key: str) -> bool:
        entry = self._counts.get(key) if self._limit else None
        if entry is None:
            return False
        window, passed = divmod(self._clock(), self._window_s)
        before, now = _counts(entry, int(window))
        return before * (1 - passed / self._window_s) + now >= self._limit

    def count(self, key: str) -> None:
        if not self._limit:
            return
        window = int(self._clock() // self._window_s)
        entry = self._counts.pop(key, None)
        before, now = _counts(entry, window) if entry is not None else (0, 0)
        self._counts[key] = (window, before, now + 1)
        if len(self._counts) > MAX_KEYS:
            self._counts.popitem(last=False)


def _counts(entry: tuple[int, int, int], window: int) -> tuple[int, int]:
    """The counts of the window before and of this one, whenever the entry was written."""
    written, before, now = entry
    if written == window:
        return before, now
    return (now, 0) if written == window - 1 else (0, 0)


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the /64, which is what one customer has."""
    if ":" not in address:
        return address
    import ipaddress

    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
