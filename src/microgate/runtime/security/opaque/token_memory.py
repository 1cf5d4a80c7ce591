"""What is remembered of the verdicts of services: good ones until they end, refusals for a short while.

The two are apart, so that a flood of made-up tokens evicts no good one. Keys are digests with a key of this process: the memory
holds no token, and nobody can choose what meets in it. `scheme.py`, `key_validation.py` and `../forward_auth.py` use it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.security.recalling import keyed_digest
from microgate.runtime.security.refusals import Reason, TokenError
from microgate.runtime.security.verdicts import Verdict, Verdicts

if TYPE_CHECKING:
    from microgate.runtime.exchange import Consumer
    from microgate.runtime.faults import Fault
    from microgate.runtime.security.context import SecurityContext

GOOD_BYTES = 32 << 20
MAX_REFUSED = 10_000
LONGEST_WITHOUT_END_SECONDS = 3_600.0  # WSO2 §6.3: what an answer without `exp` is good for

_NEVER = float("inf")


class _Refusal(NamedTuple):
    until: float
    reason: Reason
    fault: Fault | None


class TokenMemory:
    """Bounded in entries and bytes; one that is not `lasting` remembers nothing."""

    def __init__(self, context: SecurityContext, *, lasting: bool = True) -> None:
        caching = context.settings.caching
        self._clock = context.clock
        self._good = Verdicts(GOOD_BYTES, caching.token_cache_capacity, context.clock, context.counter, context.gauge)
        self._longest_s = float(caching.token_cache_expiry_time) if lasting else 0.0
        self._refused: OrderedDict[bytes, _Refusal] = OrderedDict()
        self._refused_s = float(caching.refused_token_expiry_time) if lasting else 0.0
        self.digest = keyed_digest()
        self.find = self._good.find

    def check(self, digest: bytes) -> None:
        """Raise TokenError for what was refused a moment ago."""
        entry = self._refused.get(digest)
        if entry is None:
            return
        if self._clock() < entry.until:
            raise TokenError(entry.reason, entry.fault)
        del self._refused[digest]

    def keep(self, digest: bytes, consumer: Consumer, size_bytes: int) -> None:
        """Remember who calls until that ends, for an hour where nobody said when; `size_bytes` is the answer's."""
        now = self._clock()
        longest_s = self._longest_s if consumer.until < _NEVER else min(self._longest_s, LONGEST_WITHOUT_END_SECONDS)
        until = min(consumer.until, now + longest_s)
        if until > now:
            self._good.keep(digest, Verdict(until, consumer, size_bytes))

    def refuse(self, digest: bytes, error: TokenError, longest_s: float = _NEVER) -> None:
        """Remember a refusal, at the cost of the oldest one."""
        lasting_s = min(self._refused_s, longest_s)
        if lasting_s <= 0:
            return
        self._refused.pop(digest, None)
        self._refused[digest] = _Refusal(self._clock() + lasting_s, error.reason, error.fault)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
