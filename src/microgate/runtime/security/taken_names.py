"""The names of the fields that services of forward authentication set towards backends. Assembly has clients' copies dropped.

Apart from `forward_auth.py`, whose code only projects with such a service import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microgate.plan.model import Plan


def taken_names(plan: Plan) -> frozenset[bytes]:
    """Lower case. Authorization is no field of its own: it is dropped as a credential."""
    taken = {
        name.encode()
        for api in plan.apis
        for operation in api.operations
        if operation.forward_auth is not None
        for name in operation.forward_auth.take_headers
    }
    return frozenset(taken - {b"authorization"})
