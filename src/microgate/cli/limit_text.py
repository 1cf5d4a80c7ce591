"""What a policy allows, as `microgate limits` tells it: on one line for people, as fields for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microgate.plan.model import Allowance, Block, Condition, Policy

_UNITS = (
    (365 * 86_400, "year"),
    (30 * 86_400, "month"),
    (7 * 86_400, "week"),
    (86_400, "day"),
    (3600, "hour"),
    (60, "min"),
    (1, "sec"),
)
_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
SHOWN_NETWORKS = 4


def allowance_text(allowance: Allowance) -> str:
    """All that holds together, divided by semicolons."""
    parts: list[str] = []
    quota, burst, bandwidth = allowance.quota, allowance.burst, allowance.bandwidth
    if quota is not None:
        parts.append(f"{quota.count} in {'any ' if quota.sliding else ''}{_time(quota.window_s)}")
    if burst is not None:
        parts.append(f"{burst.size} at once, filled with {burst.count} in {_time(burst.window_s)}")
    if allowance.concurrency is not None:
        parts.append(f"{allowance.concurrency} in flight")
    if bandwidth is not None:
        ways = {"in": "of requests ", "out": "of answers "}.get(bandwidth.direction, "")
        slows = ", slowed" if bandwidth.slows else ""
        parts.append(f"{_size(bandwidth.bytes)} {ways}in {_time(bandwidth.window_s)}{slows}")
    return "; ".join(parts) or "no limit"


def policy_text(policy: Policy) -> str:
    """What a policy allows of itself, and how it counts."""
    parts = [allowance_text(policy.allowance)]
    parts += [f"{status} counts {weight}" for status, weight in policy.weights]
    if not policy.stop_on_quota:
        parts.append("more passes too, and is marked")
    if policy.shadow:
        parts.append("refuses nothing (shadow)")
    return "; ".join(parts)


def conditions_text(conditions: tuple[Condition, ...]) -> str:
    return " and ".join(("not " if one.invert else "") + _condition(one) for one in conditions)


def block_text(block: Block) -> str:
    """Who is shut out."""
    if block.kind == "address":
        return f"{'all but ' if block.invert else ''}address {_networks(block.networks)}"
    return f"{block.kind} {block.value}"


def _condition(condition: Condition) -> str:
    if condition.kind == "address":
        return f"address {_networks(condition.networks)}"
    return f"{condition.kind} {condition.name} has {condition.pattern}"


def _networks(networks: tuple[str, ...]) -> str:
    more = len(networks) - SHOWN_NETWORKS
    return ", ".join(networks[:SHOWN_NETWORKS]) + (f" and {more} more" if more > 0 else "")


def _time(seconds: int) -> str:
    length, unit = next(one for one in _UNITS if seconds % one[0] == 0)
    number = seconds // length
    return f"{number} {unit}" + ("s" if number > 1 else "")


def _size(number: int) -> str:
    for size, unit in _SIZES:
        if number >= size and number % (size // 10) == 0:
            return f"{number / size:g} {unit}"
    return f"{number} bytes"


def allowance_facts(allowance: Allowance) -> dict[str, Any]:
    """The same for machines; what is not limited is null."""
    quota, burst, bandwidth = allowance.quota, allowance.burst, allowance.bandwidth
    return {
        "quota": quota and {"count": quota.count, "windowSeconds": quota.window_s, "sliding": quota.sliding},
        "burst": burst and {"size": burst.size, "count": burst.count, "windowSeconds": burst.window_s},
        "concurrency": allowance.concurrency,
        "bandwidth": bandwidth
        and {
            "bytes": bandwidth.bytes,
            "windowSeconds": bandwidth.window_s,
            "direction": bandwidth.direction,
            "slows": bandwidth.slows,
        },
    }


def policy_facts(policy: Policy) -> dict[str, Any]:
    return {
        "level": policy.level,
        "name": policy.name,
        "allowance": allowance_facts(policy.allowance),
        "groups": [
            {
                "name": group.name,
                "conditions": [_condition_facts(condition) for condition in group.conditions],
                "allowance": allowance_facts(group.allowance),
            }
            for group in policy.groups
        ],
        "weights": dict(policy.weights),
        "stopOnQuota": policy.stop_on_quota,
        "shadow": policy.shadow,
        "store": policy.store,
        "keyTemplate": policy.key_template,
    }


def _condition_facts(condition: Condition) -> dict[str, Any]:
    said = (
        {"networks": condition.networks}
        if condition.kind == "address"
        else {"name": condition.name, "pattern": condition.pattern}
    )
    return {"kind": condition.kind, **said, "invert": condition.invert}


def block_facts(block: Block) -> dict[str, Any]:
    said = {"networks": block.networks} if block.kind == "address" else {"value": block.value}
    return {"kind": block.kind, **said, "invert": block.invert}
