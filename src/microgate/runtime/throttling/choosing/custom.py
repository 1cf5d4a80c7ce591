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


class KnownKeys:
    """The counters of keys that were met, of all policies and operations of a worker: bounded together."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], Part] = {}
        self._stamp = -1  # of the table, see there

    def renew(self, stamp: int) -> None:
        """Counters are to be looked for anew, unless they were since."""
        if self._stamp != stamp:
            self._stamp = stamp
            self.parts.clear()


class CustomPolicy:
    """One policy at one operation."""

    def __init__(self, limit: Limit, expand: Callable[[Exchange], str | None], known: KnownKeys) -> None:
        self._limit = limit
        self._name = limit.policy.name
        self._expand = expand
        self._parts = known.parts

    def bounds(self, exchange: Exchange) -> tuple[Bound, ...]:
        """The counters of a request; none where it lacks what the template names."""
        key = self._expand(exchange)
        if key is None:
            return ()
        name = self._name, key
        part = self._parts.get(name)
        if part is None:
            if len(self._parts) >= MAX_REMEMBERED:
                self._parts.clear()
            part = self._parts[name] = Part(self._limit, name)
        return part.bounds(exchange)


def link(context: ThrottlingContext, api: Api, operation: Operation) -> tuple[CustomPolicy, ...]:
    policies = [policy for policy in context.plan.policies if policy.level == "custom"]
    if not policies:
        return ()
    from microgate.runtime.throttling.choosing import key_templates

    found = []
    for policy in policies:
        limit = context.limit("custom", policy.name)
        assert limit is not None
        found.append(CustomPolicy(limit, key_templates.link(policy.key_template, api, operation), context.known_keys))
    return tuple(found)
