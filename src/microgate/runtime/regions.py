"""Memory that outlives generations, in which all processes of a gateway tell each other things; the supervisor makes it once.

What stands in a region is the business of the room that laid it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import mmap

    from microgate.runtime.security.certificates.replay import ReplayRegion
    from microgate.runtime.throttling.counting.table import LimitRegion


class Regions(NamedTuple):
    """None where this process shares nothing: in tests, and where the settings leave a room without work."""

    replays: ReplayRegion | None = None  # proofs of possession that were used
    revocations: mmap.mmap | None = None  # what was revoked
    limits: LimitRegion | None = None  # what callers have used up
    in_flight: LimitRegion | None = None  # what callers have in flight
    decisions: mmap.mmap | None = None  # what a traffic manager has decided
