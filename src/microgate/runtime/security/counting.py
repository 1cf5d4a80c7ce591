"""What this room counts, by name, and the counter that counts nothing.

Assembly and the steward hand in `Metrics.counter`, which gives the function that adds to one of `NAMES`, and assembly
`Metrics.gauge` for `GAUGES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

NAMES = (
    "backend_tokens",  # that were made because none was kept
    "backend_token_failures",  # that could not be made
    "token_verifications",  # tokens that no verdict was known of
    "token_verdicts_evicted",  # verdicts that had to leave for others
    "key_set_fetches",  # questions to issuers for their key sets
    "key_set_failures",  # those that brought no key set
    "revocations_added",  # entries that were new
    "revocations_misread",  # that sources named and nobody understood
    "revocations_refused",  # that found no room
    "service_calls",  # calls to services that a request waits for
    "service_call_failures",  # those that brought no usable answer
    "proofs_replayed",  # of possession, that had been used before
    "proofs_without_room",  # refused because too many are remembered
)
GAUGES = (
    "token_verdicts",  # that are remembered
    "revocations",  # entries in the table
    "token_verdict_bytes",  # reckoned for them
)

Add: TypeAlias = Callable[[int], None]
Counter: TypeAlias = Callable[[str], Add]


def uncounted(name: str) -> Add:
    assert name in NAMES + GAUGES
    return _drop


def _drop(count: int) -> None:
    pass
