"""What clients are told of their limits: RateLimit and RateLimit-Policy, and the older X-RateLimit fields where settings say so.

Of all limits that a request counted in, the one that is nearest to its end is told. Refusals tell it too; Retry-After is theirs.
Source: draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import AnswerStage

NONE, STANDARD, LEGACY, BOTH = "none", "standard", "legacy", "both"

_STANDARD_NAMES = ("RateLimit", "RateLimit-Policy")
_LEGACY_NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
# What pages of other origins may read (docs/security/cors.md); browsers keep Retry-After from them too.
NAMES: dict[str, tuple[str, ...]] = {
    NONE: (),
    STANDARD: (*_STANDARD_NAMES, "Retry-After"),
    LEGACY: (*_LEGACY_NAMES, "Retry-After"),
    BOTH: (*_STANDARD_NAMES, *_LEGACY_NAMES, "Retry-After"),
}


def link(form: str) -> AnswerStage | None:
    """The stage of answers; None where nothing is told."""

    def tell(exchange: Exchange, lines: list[bytes]) -> None:
        tightest = exchange.quota
        if tightest is not None:
            bound, left, now, _ = tightest
            lines.append(b"RateLimit: %b;r=%d;t=%d" % (bound.told, max(0, left), int(bound.counter.wait_s(now)) + 1))
            lines.append(bound.policy_field)

    def tell_older(exchange: Exchange, lines: list[bytes]) -> None:
        tightest = exchange.quota
        if tightest is not None:
            bound, left, now, _ = tightest
            lines.append(b"X-RateLimit-Limit: %d" % bound.counter.limit)
            lines.append(b"X-RateLimit-Remaining: %d" % max(0, left))
            lines.append(b"X-RateLimit-Reset: %d" % (int(bound.counter.wait_s(now)) + 1))

    def tell_both(exchange: Exchange, lines: list[bytes]) -> None:
        tell(exchange, lines)
        tell_older(exchange, lines)

    return {NONE: None, STANDARD: tell, LEGACY: tell_older, BOTH: tell_both}[form]
