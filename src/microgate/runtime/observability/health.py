"""`/health` on the traffic port, as WSO2 §14.2 has it: static, without authentication, for any method and sub-path.

It says that this process serves, nothing about backends; readiness is on the admin listener. Assembly routes to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.faults import Answer

if TYPE_CHECKING:
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.pipeline import Stage

_BODY = b'{"status":"healthy"}'


def link() -> Stage:
    def health(exchange: Exchange) -> Answer:
        return Answer(200, [(b"Content-Type", b"application/json")], _BODY)

    return health
