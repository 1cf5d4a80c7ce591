"""Every key of policies.yaml: name, kind, bounds, default and a sentence. The readers of this folder take names, words and bounds
from here, the JSON Schema and the reference page are made of it; nothing else lists keys.
"""

from __future__ import annotations

from typing import NamedTuple

MINUTE, HOUR, DAY = 60, 3600, 86_400
# A month has 30 days and a year 365 (WSO2 §4). Seconds are ours.
SECONDS = {
    "sec": 1,
    "min": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "week": 7 * DAY,
    "month": 30 * DAY,
    "year": 365 * DAY,
}
OTHER_UNITS = {"secs": "sec", "second": "sec", "seconds": "sec"}
LEVELS = {
    "resourcePolicies": "resource",
    "applicationPolicies": "application",
    "subscriptionPolicies": "subscription",
    "customPolicies": "custom",
}
BLOCKS = "blockingConditions"
UNLIMITED = "Unlimited"  # at every level, without a definition
# Subscription policies with a meaning of their own (WSO2 §4): of callers without a subscription, and of open operations.
DEFAULT = "Default"
UNAUTHENTICATED = "Unauthenticated"

MAX_COUNT = 2**31 - 1
MAX_WINDOW_S = 10 * 365 * DAY
MAX_BYTES = 8 * 1024**4
MAX_WEIGHT = 10_000
MAX_POLICIES = 10_000  # of one list
MAX_CUSTOM = 100  # each of them costs every request something
MAX_GROUPS = 100  # of one policy
MAX_CONDITIONS = 100  # of one group
MAX_NETWORKS = 10_000  # of one list
MAX_BLOCKS = 10_000
MAX_FINDINGS = 200  # behind which a file is not read on
MAX_NAME = 200  # characters; names label metrics and logs
MAX_TEMPLATE = 1_000  # characters


class Key(NamedTuple):
    """One key. `kind` says how it is read; `shape` names the keys below it where it is a mapping, or may be one."""

    name: str
    kind: str
    sentence: str
    low: int = 1
    high: int = 0
    default: str = ""
    words: tuple[str, ...] = ()
    shape: str = ""
    needed: bool = False


UNIT_TIME = Key("unitTime", "integer", "how many units a window has; at most 10 years in all", high=MAX_WINDOW_S)
TIME_UNIT = Key("timeUnit", "unit", "the unit: `month` is 30 days, `year` 365; whatever its case", words=tuple(SECONDS))
COUNT = Key("count", "integer", "how many requests pass in each window", high=MAX_COUNT)
BURST = Key(
    "burst",
    "integer or mapping",
    "how many may come at once: a bucket of tokens beside the quota; a number alone is its `size`",
    high=MAX_COUNT,
    shape="burst",
)
ALLOWANCE = (
    COUNT,
    UNIT_TIME,
    TIME_UNIT,
    Key(
        "window",
        "choice",
        "`fixed` begins anew where the clock (UTC) is a multiple of its length; `sliding` holds over any stretch of it",
        default="fixed",
        words=("fixed", "sliding"),
    ),
    BURST,
    Key("concurrency", "integer", "how many requests may be in flight at one time, on each node", high=MAX_COUNT),
    Key("bandwidth", "mapping", "how many bytes of bodies pass in each window", shape="bandwidth"),
)
POLICY = (
    *ALLOWANCE,
    Key(
        "stopOnQuota",
        "boolean",
        "`false` lets requests pass that are over the limit and marks them; in `subscriptionPolicies` only",
        default="true",
    ),
    Key(
        "conditions",
        "groups",
        "requests that have an allowance of their own; the first that fits decides",
        shape="group",
    ),
    Key(
        "weights",
        "weights",
        'how much a request counts by the status of its answer: `5xx: 0` gives back what failed, `"404": 2` takes twice',
        low=0,
        high=MAX_WEIGHT,
        default="1",
    ),
    Key(
        "store",
        "choice",
        "where is counted: on this `node`, or over all nodes: `fast` decides alone and tells the others, `strict` asks each time",
        default="node",
        words=("node", "fast", "strict"),
    ),
    Key("shadow", "boolean", "counts and logs what it would refuse, and refuses nothing", default="false"),
)
KEY_TEMPLATE = Key(
    "keyTemplate", "template", "who shares one allowance: text with variables, as `$userId:$apiContext`", needed=True
)
SHAPES: dict[str, tuple[Key, ...]] = {
    "policy": POLICY,
    "custom": (KEY_TEMPLATE, *POLICY),
    "burst": (
        Key("size", "integer", "how many tokens the bucket holds", high=MAX_COUNT, needed=True),
        Key("count", "integer", "how many are filled in, evenly", high=MAX_COUNT, default="the quota's `count`"),
        UNIT_TIME._replace(sentence="in how many units", default="the quota's"),
        TIME_UNIT._replace(sentence="the unit", default="the quota's"),
    ),
    "bandwidth": (
        Key("bytes", "bytes", "how many: a number, or one with `kB`, `MB`, `GB`, `KiB`, `MiB` …", high=MAX_BYTES, needed=True),
        UNIT_TIME._replace(default="the policy's"),
        TIME_UNIT._replace(default="the policy's"),
        Key(
            "direction",
            "choice",
            "bodies of requests (`in`), of answers (`out`), or `both`",
            default="both",
            words=("in", "out", "both"),
        ),
        Key(
            "exceeded",
            "choice",
            "`refuse` the next request with 429, or let bodies flow at the rate that is allowed (`slow`)",
            default="refuse",
            words=("refuse", "slow"),
        ),
    ),
    "group": (
        Key("when", "when", "what must hold: a mapping, or a list of them", shape="when", needed=True),
        *(
            key._replace(default="the policy's") if key in (UNIT_TIME, TIME_UNIT) else key
            for key in ALLOWANCE
        ),
    ),
    "when": (
        Key("header", "patterns", "name of a header -> pattern that is found in its value"),
        Key("query", "patterns", "name of a query parameter -> pattern that is found in its value"),
        Key("claim", "patterns", "name of a claim of the caller's token -> pattern that is found in its value"),
        Key("address", "networks", "addresses of clients: one or a list of `192.0.2.7`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`"),
        Key("not", "mapping", "the same four; none of them may hold", shape="when"),
        Key("invert", "boolean", "turns round each of the four beside it, as `not` does", default="false"),
    ),
    "block": (
        Key("api", "text", "base path of an API of this project"),
        Key("user", "text", "name of a user, or subject of a token"),
        Key("application", "text", "`<owner>:<name>` of an application"),
        Key("address", "networks", "addresses of clients, one or a list, as in `when`"),
        Key("addresses", "networks", "the same"),
        Key("invert", "boolean", "shuts out everybody else; with `address` and `addresses` only", default="false"),
    ),
}  # fmt: skip

# What a key template may say (WSO2 §11.3); those of the second group are followed by `.` and a name. Their names are ours but
# for `customProperty`.
VARIABLES = {
    "resourceKey": "the operation: base path, version, path template and method",
    "userId": "who calls: the user, or the subject of the token",
    "apiContext": "the base path",
    "apiVersion": "the version of the API",
    "appTenant": "the tenant of the application's owner",
    "apiTenant": "the tenant of the API",
    "appId": "the application",
    "clientIp": "the client's address",
}
NAMED_VARIABLES = {
    "customProperty": "what interceptors and extensions have set under the name; nothing sets any yet",
    "claim": "a claim of the caller's token",
    "header": "a header of the request",
    "query": "a parameter of the query",
}


def most(level: str) -> int:
    """How many policies a level may have."""
    return MAX_CUSTOM if level == "custom" else MAX_POLICIES


def names(shape: str) -> tuple[str, ...]:
    return tuple(key.name for key in SHAPES[shape])


def key(shape: str, name: str) -> Key:
    return next(key for key in SHAPES[shape] if key.name == name)
