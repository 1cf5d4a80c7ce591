"""What a policy, or a group of one, lets pass: quota, burst, concurrency, bandwidth; and which contradict one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import Allowance, Bandwidth, Burst, Quota
from microgate.toolkit import catalogue

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values


def read(cursor: Cursor, values: Values, window_s: int) -> Allowance:
    """The allowance that stands in a mapping, whose windows are `window_s` seconds long, 0 where it does not say."""
    count, burst, concurrency, bandwidth = (cursor.get(key) for key in ("count", "burst", "concurrency", "bandwidth"))
    sliding = values.word(cursor, "policy", "window") == "sliding"
    quota = None
    if count is not None:
        if not window_s:
            values.missing(cursor, "unitTime", "add `unitTime: 1` and `timeUnit: min`")
        quota = Quota(values.count(count, "policy", "count"), window_s or 1, sliding)
    elif sliding:
        message = "`window: sliding` needs `count`: bursts have no window and those of bandwidth are fixed"
        values.say(cursor, catalogue.POLICY_CONTRADICTION, message, "add `count`, or remove `window`")
    allowance = Allowance(
        quota=quota,
        burst=None if burst is None else _burst(burst, quota, window_s, values),
        concurrency=None if concurrency is None else values.count(concurrency, "policy", "concurrency"),
        bandwidth=None if bandwidth is None else _bandwidth(bandwidth, window_s, values),
    )
    _check(cursor, allowance, values)
    return allowance


def is_said(cursor: Cursor) -> bool:
    """Whether a mapping names an allowance, be it one that was reported."""
    return any(cursor.get(key) is not None for key in ("count", "burst", "concurrency", "bandwidth"))


def _burst(cursor: Cursor, quota: Quota | None, window_s: int, values: Values) -> Burst | None:
    """A bucket: `N` or `{size: N}` fill it at the rate of the quota beside it."""
    size, count, own_s = cursor, None, 0
    if cursor.is_mapping:
        if not values.opened(cursor, "burst"):
            return None
        found = cursor.get("size")
        if found is None:
            values.missing(cursor, "size", "add how many may come at once")
            return None
        size, count, own_s = found, cursor.get("count"), values.window_s(cursor)
    elif cursor.is_list:
        values.wrong(cursor, "a whole number or a mapping with `size`")
        return None
    tokens = values.count(size, "burst", "size")
    if count is not None:
        if not own_s and not window_s:
            values.missing(cursor, "unitTime", "add `unitTime: 1` and `timeUnit: sec`")
        return Burst(tokens, values.count(count, "burst", "count"), own_s or window_s or 1)
    if own_s:
        values.missing(cursor, "count", "add how many tokens are filled in in that time")
    elif quota is None:
        message = "`burst` needs a rate: there is no `count` beside it that says how fast the bucket fills"
        values.say(
            cursor, catalogue.POLICY_VALUE, message, "write `burst: {size: …, count: …, unitTime: 1, timeUnit: sec}`"
        )
    else:
        return Burst(tokens, quota.count, quota.window_s)
    return None


def _bandwidth(cursor: Cursor, window_s: int, values: Values) -> Bandwidth | None:
    if not values.opened(cursor, "bandwidth"):
        return None
    size = cursor.get("bytes")
    if size is None:
        values.missing(cursor, "bytes", "add how many bytes, as in `bytes: 10MB`")
        return None
    own_s = values.window_s(cursor, window_s)
    if not own_s:
        values.missing(cursor, "unitTime", "add `unitTime: 1` and `timeUnit: min`")
    return Bandwidth(
        bytes=values.size_bytes(size),
        window_s=own_s or 1,
        direction=values.word(cursor, "bandwidth", "direction"),
        slows=values.word(cursor, "bandwidth", "exceeded") == "slow",
    )


def _check(cursor: Cursor, allowance: Allowance, values: Values) -> None:
    quota, bandwidth = allowance.quota, allowance.bandwidth
    if quota is not None and quota.sliding and bandwidth is not None:
        message = "`window: sliding` contradicts `bandwidth`, whose windows are fixed"
        values.say(cursor, catalogue.POLICY_CONTRADICTION, message, "remove one of the two")
    unit = cursor.get("unitTime")
    alone = cursor.get("conditions") is None
    if unit is not None and alone and allowance.concurrency is not None and not (quota or allowance.burst or bandwidth):
        message = "`unitTime` has no effect on `concurrency`: what is in flight has no window"
        values.say(unit, catalogue.POLICY_CONTRADICTION, message, "remove `unitTime` and `timeUnit`, or add `count`")
