"""Weights of a policy: how much a request counts by the status of its answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values

STATUS = re.compile(r"[2-5](?:[0-9]{2}|xx)", re.ASCII)


def read(cursor: Cursor, values: Values) -> tuple[tuple[str, int], ...]:
    """Status or class of it -> weight, statuses before classes, each in order."""
    if not cursor.is_mapping:
        values.wrong(cursor, "a mapping of statuses to weights", "write `weights: {5xx: 0}`")
        return ()
    found: dict[str, int] = {}
    for name, member in values.members(cursor):
        status = name.lower()
        if not STATUS.fullmatch(status) or status in found:
            message = f"`{shown(name)}` stands twice" if status in found else f"`{shown(name)}` is no status"
            spot = member.key_spot
            values.report.add(spot.diagnostic(catalogue.POLICY_VALUE, message, "write `404` or a class as `5xx`"))
        else:
            found[status] = values.count(member, "policy", "weights")
    return tuple(sorted(found.items(), key=lambda entry: (entry[0].endswith("x"), entry[0])))
