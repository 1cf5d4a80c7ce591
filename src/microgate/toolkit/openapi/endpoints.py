"""Endpoint objects of the `x-wso2-…-endpoints` extensions (WSO2 §3.2): URLs, type and advanced settings, typed.

What a later release implements is read here and reported by the compiler's rule for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from microgate.backend_urls import carries_credentials, url_problem
from microgate.plan.model import PoolLimits
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.cursor import Located
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Cursor, Spot
    from microgate.toolkit.openapi.values import Reader

GROUP_KEYS = ("urls", "type", "securityConfig", "advanceEndpointConfig")
TYPES = ("http", "load_balance", "failover", "address")
REFERENCE_PREFIX = "#/x-wso2-endpoints/"

_ETCD = re.compile(r"etcd\s*\(", re.IGNORECASE)


@dataclass
class Group:
    """A list of URLs and how they are used. `name` is set for an entry of `x-wso2-endpoints`."""

    at: Spot
    urls: list[Located[str]] = field(default_factory=list)
    type: str = ""
    name: str = ""
    timeout_ms: int = 0
    pool: PoolLimits = field(default_factory=PoolLimits)
    streams_per_connection: Spot | None = None
    unsupported: list[Located[str]] = field(default_factory=list)  # what a later release does, in words


@dataclass(frozen=True)
class Reference:
    """A use of an entry of `x-wso2-endpoints`."""

    name: str
    at: Spot


def read_use(cursor: Cursor, reader: Reader) -> Group | Reference | None:
    """The value of `x-wso2-production-endpoints` or `x-wso2-sandbox-endpoints`."""
    text = cursor.text
    if text is None:
        return read_group(cursor, reader)
    if text.startswith(REFERENCE_PREFIX) and len(text) > len(REFERENCE_PREFIX):
        return Reference(text.removeprefix(REFERENCE_PREFIX), cursor.spot)
    reader.wrong(cursor, f"a mapping with `urls`, or a text `{REFERENCE_PREFIX}<name>`")
    return None


def read_list(cursor: Cursor, reader: Reader) -> dict[str, Group] | None:
    """The value of `x-wso2-endpoints`: a list of mappings with one key, the name."""
    groups: dict[str, Group] = {}
    for item in reader.items(cursor):
        members = list(item.members())
        if len(members) != 1:
            found = f"one with {len(members)}" if item.is_mapping else ""
            reader.wrong(item, "a mapping with one key, the name of the endpoint", found=found)
            continue
        name, member = members[0]
        group = read_group(member, reader)
        if group is None:
            continue
        if name in groups:
            message = f"the endpoint `{shown(name)}` is defined twice; first at {groups[name].at.where}"
            reader.report.add(member.key_spot.diagnostic(catalogue.ENDPOINT_TWICE, message))
            continue
        group.name = name
        groups[name] = group
    return groups


def read_group(cursor: Cursor, reader: Reader) -> Group | None:
    if not reader.mapping(cursor, GROUP_KEYS):
        return None
    group = Group(at=cursor.spot)
    urls = cursor.get("urls")
    if urls is None:
        reader.missing(cursor, "urls", "add `urls: [https://…]`")
        return None
    for item in reader.items(urls):
        _read_url(item, group, reader)
    kind = cursor.get("type")
    if kind is not None:
        group.type = reader.choice(kind, TYPES) or ""
    security = cursor.get("securityConfig")
    if security is not None:
        _read_security(security, group, reader)
    advanced = cursor.get("advanceEndpointConfig")
    if advanced is not None:
        _read_advanced(advanced, group, reader)
    return group


def _read_url(cursor: Cursor, group: Group, reader: Reader) -> None:
    text = reader.text(cursor)
    if text is None:
        return
    if _ETCD.match(text):
        inside = text[text.index("(") + 1 :].rstrip()
        if not inside.endswith(")") or inside.count(",") != 1:
            reader.wrong(cursor, "`etcd(key,defaultUrl)`")
            return
        group.unsupported.append(Located("endpoints from etcd", cursor.spot))
        return
    if check_url(text, cursor.spot, reader.report):
        group.urls.append(Located(text, cursor.spot))


def check_url(url: str, at: Spot, report: Report) -> bool:
    """Report a backend URL that cannot be used, or that carries a secret; whether it is fine."""
    if carries_credentials(url):
        message = "the URL carries a user name or password"
        hint = "give credentials to the gateway when it runs, not in the description"
        report.add(at.diagnostic(catalogue.PLAINTEXT_SECRET, message, hint))
        return False
    problem = url_problem(url)
    if problem:
        hint = "an endpoint is an absolute URL such as `https://backend.example/v1`"
        report.add(at.diagnostic(catalogue.MALFORMED_URL, f"malformed URL `{shown(url)}`: {problem}", hint))
    return not problem


SECURITY_KEYS = ("type", "username", "password")


def _read_security(cursor: Cursor, group: Group, reader: Reader) -> None:
    if not reader.mapping(cursor, SECURITY_KEYS):
        return
    kind = cursor.get("type")
    if kind is not None:
        reader.choice(kind, ("basic", "digest"))
    user = cursor.get("username")
    if user is not None:
        reader.text(user)
    password = cursor.get("password")
    if password is not None and password.value != "":
        message = "a password stands in the description"
        hint = "remove it, and give it to the gateway when it runs"
        reader.report.add(password.key_spot.diagnostic(catalogue.PLAINTEXT_SECRET, message, hint))
    group.unsupported.append(Located("credentials for backends (`securityConfig`)", cursor.key_spot))


ADVANCED_KEYS = ("timeoutInMillis", "retryConfig", "circuitBreaker", "poolConfig")
RETRY_KEYS = ("count", "intervalInMillis", "backOffFactor", "maxWaitIntervalInMillis", "statusCodes")
BREAKER_KEYS = ("rollingWindow", "failureThreshold", "resetTimeInMillis", "statusCodes")
WINDOW_KEYS = ("requestVolumeThreshold", "timeWindowInMillis", "bucketSizeInMillis")
POOL_KEYS = ("maxActiveConnections", "maxIdleConnections", "waitTimeInMillis", "maxActiveStreamsPerConnection")


def _read_advanced(cursor: Cursor, group: Group, reader: Reader) -> None:
    if not reader.mapping(cursor, ADVANCED_KEYS):
        return
    timeout = cursor.get("timeoutInMillis")
    if timeout is not None:
        group.timeout_ms = reader.integer(timeout, 1) or 0
    retry = cursor.get("retryConfig")
    if retry is not None and reader.mapping(retry, RETRY_KEYS):
        _check_integers(retry, RETRY_KEYS[:2] + RETRY_KEYS[3:4], reader)
        _check_number(retry, "backOffFactor", reader)
        _check_statuses(retry, reader)
        group.unsupported.append(Located("retries (`retryConfig`)", retry.key_spot))
    breaker = cursor.get("circuitBreaker")
    if breaker is not None and reader.mapping(breaker, BREAKER_KEYS):
        window = breaker.get("rollingWindow")
        if window is not None and reader.mapping(window, WINDOW_KEYS):
            _check_integers(window, WINDOW_KEYS, reader)
        _check_number(breaker, "failureThreshold", reader, high=1)
        _check_integers(breaker, ("resetTimeInMillis",), reader)
        _check_statuses(breaker, reader)
        group.unsupported.append(Located("circuit breaking (`circuitBreaker`)", breaker.key_spot))
    pool = cursor.get("poolConfig")
    if pool is not None and reader.mapping(pool, POOL_KEYS):
        _read_pool(pool, group, reader)


def _read_pool(cursor: Cursor, group: Group, reader: Reader) -> None:
    values: dict[str, int | None] = {}
    for key in POOL_KEYS:
        member = cursor.get(key)
        values[key] = None if member is None else reader.integer(member, -1)
    active = values["maxActiveConnections"]
    group.pool = PoolLimits(
        max_active_connections=-1 if active == 0 else active,  # as WSO2 §8.8 reads it
        max_idle_connections=values["maxIdleConnections"],
        wait_ms=values["waitTimeInMillis"],
    )
    streams = cursor.get("maxActiveStreamsPerConnection")
    if streams is not None:
        group.streams_per_connection = streams.key_spot


def _check_integers(cursor: Cursor, keys: tuple[str, ...], reader: Reader) -> None:
    for key in keys:
        member = cursor.get(key)
        if member is not None:
            reader.integer(member)


def _check_number(cursor: Cursor, key: str, reader: Reader, high: float = 1e9) -> None:
    member = cursor.get(key)
    if member is not None:
        reader.number(member, 0, high)


def _check_statuses(cursor: Cursor, reader: Reader) -> None:
    statuses = cursor.get("statusCodes")
    if statuses is None:
        return
    if not statuses.is_list:
        reader.wrong(statuses, "a list of statuses")
    for item in statuses.items():
        if not isinstance(item.value, int) or not 100 <= item.value <= 599:
            reader.wrong(item, "an HTTP status")
