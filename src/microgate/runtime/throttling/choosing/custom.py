"""Custom policies: who shares a count is what a template makes of the request. Every operation is counted in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.runtime.throttling.limits import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange
    from microgate.runtime.throttling.context import ThrottlingContext
    from microgate.runtime.throttling.limits import Bound, Limit

MAX_REMEMBERED = 16_384  # keys


class CustomPolicy:
    """One policy at one operation."""

    def __init__(self, limit: Limit, expand: Callable[[Exchange], str | None]) -> None:
        self._limit = limit
        self._expand = expand
        self._parts: dict[str, Part] = {}

    def bounds(self, exchange: Exchange) -> tuple[Bound, ...]:
        """The counters of a request; none where it lacks what the template names."""
        key = self._expand(exchange)
        if key is None:
            return ()
        part = self._parts.get(key)
        if part is None:
            if len(self._parts) >= MAX_REMEMBERED:
                self._parts.clear()
            part = self._parts[key] = Part(self._limit, (self._limit.policy.name, key))
        return part.bounds(exchange)

    def forget(self) -> None:
        """Counters are to be looked for anew."""
        self._parts.clear()


def link(context: ThrottlingContext, api: Api, operation: Operation) -> tuple[CustomPolicy, ...]:
    policies = [policy for policy in context.plan.policies if policy.level == "custom"]
    if not policies:
        return ()
    from microgate.runtime.throttling.choosing import key_templates

    found = []
    for policy in policies:
        limit = context.limit("custom", policy.name)
        assert limit is not None
        found.append(CustomPolicy(limit, key_templates.link(policy.key_template, api, operation)))
    return tuple(found)
