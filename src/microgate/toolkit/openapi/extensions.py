"""Every extension key that microgate knows: where it may stand, how it is read, what it becomes.

One table; a key that is not in it is an error where it has our prefixes. The meaning of the values is the compiler's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from microgate.plan.model import Timeouts
from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean, nearest
from microgate.toolkit.openapi import access_rules, cors, endpoints
from microgate.toolkit.openapi.cursor import Located
from microgate.toolkit.openapi.security import READINGS
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import FIELD_NAME, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.diagnostics import Report
    from microgate.plan.model import ForwardAuth, IpRules
    from microgate.toolkit.openapi.cors import CorsAdditions, CorsRules
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.openapi.endpoints import Group, Reference

OWN_PREFIXES = ("x-wso2-", "x-microgate-")
ROOT = "document"
OPERATION = "operation"
BOTH = (ROOT, OPERATION)
WITHOUT_EFFECT = ("x-mediation-script",)  # WSO2 ignored it in silence


@dataclass
class ApplicationSecurity:
    """`x-wso2-application-security`: which credentials an application may bring."""

    types: list[Located[str]]
    optional: bool = False


@dataclass
class Extensions:
    """The extensions of a document's root or of an operation; None where one is absent or was reported."""

    base_path: Located[str] | None = None
    production: Located[Group | Reference] | None = None
    sandbox: Located[Group | Reference] | None = None
    endpoints: Located[dict[str, Group]] | None = None
    request_interceptor: Located[str] | None = None
    response_interceptor: Located[str] | None = None
    tier: Located[str] | None = None
    apim_tier: Located[str] | None = None
    cors: Located[CorsRules] | None = None
    cors_additions: Located[CorsAdditions] | None = None
    response_cache: Located[bool] | None = None
    disable_security: Located[bool] | None = None
    auth_type: Located[str] | None = None
    scope: Located[str] | None = None
    application_security: Located[ApplicationSecurity] | None = None
    auth_header: Located[str] | None = None
    transports: Located[tuple[str, ...]] | None = None
    mutual_ssl: Located[str] | None = None
    owner: Located[str] | None = None
    hosts: Located[tuple[str, ...]] | None = None
    https_redirect: Located[bool] | None = None
    timeouts: Located[Timeouts] | None = None
    max_body: Located[int] | None = None
    max_in_flight: Located[int] | None = None
    reading: Located[str] | None = None
    all_scopes: Located[bool] | None = None
    bound_tokens: Located[str] | None = None
    ip: Located[IpRules] | None = None
    forward_auth: Located[ForwardAuth] | None = None
    cost: Located[int] | None = None


class Key(NamedTuple):
    """How one extension key is read."""

    attribute: str
    levels: tuple[str, ...]
    read: Callable[[Cursor, Reader], Any]


def read(cursor: Cursor, level: str, report: Report) -> Extensions:
    """The extensions of an object, which stands at `level`."""
    found = Extensions()
    reader = Reader(report)
    for name, member in cursor.members():
        if not name.startswith(("x-", "X-")):
            continue
        key = KEYS.get(name)
        if key is None:
            report_unknown(name, member, report)
        elif level not in key.levels:
            report_misplaced(name, member, level, report)
        else:
            value = key.read(member, reader)
            if value is not None:
                setattr(found, key.attribute, Located(value, member.spot))
    return found


def report_unknown(name: str, member: Cursor, report: Report) -> None:
    """An `x-` key that is not known: an error where it has our prefix, a warning where it looks like a slip."""
    if name in WITHOUT_EFFECT:
        message = f"`{name}` has no effect: mediation sequences of the API Manager cannot run here"
        report.add(member.key_spot.diagnostic(catalogue.EXTENSION_WITHOUT_EFFECT, message, "remove it"))
    elif name.lower().startswith(OWN_PREFIXES):
        hint = did_you_mean(name, KEYS, "the extensions are listed in docs/extensions.md")
        report.add(member.key_spot.diagnostic(catalogue.UNKNOWN_EXTENSION, f"unknown key `{shown(name)}`", hint))
    elif _close(name):
        hint = did_you_mean(name, KEYS)
        message = f"`{shown(name)}` looks like an extension of ours and is ignored"
        report.add(member.key_spot.diagnostic(catalogue.LOOKS_LIKE_EXTENSION, message, hint))


def _close(name: str) -> bool:
    """A key of another prefix that only a slip of the finger divides from one of ours."""
    if not re.match(r"x-?(wso2|microgate|mgw)|x-(throttling|auth-type|scope)", name.lower()):
        return False
    return bool(nearest(name, KEYS))


def report_misplaced(name: str, member: Cursor, level: str, report: Report) -> None:
    """A key that is known, at a place where nobody would read it."""
    levels = " and in an ".join(KEYS[name].levels)
    message = f"`{name}` has no effect in {'an' if level[0] in 'aeio' else 'a'} {level}"
    hint = f"it belongs at the root of the {levels}" if ROOT in KEYS[name].levels else "it belongs in an operation"
    report.add(member.key_spot.diagnostic(catalogue.MISPLACED_EXTENSION, message, hint))


def _text(cursor: Cursor, reader: Reader) -> str | None:
    return reader.text(cursor)


def _optional_text(cursor: Cursor, reader: Reader) -> str | None:
    return "" if cursor.value in ("", None) and not cursor.is_mapping and not cursor.is_list else reader.text(cursor)


def _boolean(cursor: Cursor, reader: Reader) -> bool | None:
    return reader.boolean(cursor)


def _response_cache(cursor: Cursor, reader: Reader) -> bool | None:
    if not reader.mapping(cursor, ("enabled", "cacheTimeoutInSeconds")):
        return None
    seconds = cursor.get("cacheTimeoutInSeconds")
    if seconds is not None:
        reader.integer(seconds)
    enabled = cursor.get("enabled")
    if enabled is None:
        reader.missing(cursor, "enabled", "add `enabled: true` or `enabled: false`")
        return None
    return reader.boolean(enabled)


_SECURITY_TYPES = ("oauth2", "jwt", "basic_auth", "api_key", "mutual_ssl")
# What the same things are called elsewhere, in OpenAPI for one.
_OTHER_WORDS = {
    "oauth": "oauth2",
    "bearer": "oauth2",
    "opaque": "oauth2",
    "openidconnect": "oauth2",
    "basic": "basic_auth",
    "key": "api_key",
    "mtls": "mutual_ssl",
    "mutualtls": "mutual_ssl",
    "certificate": "mutual_ssl",
}


def _security_type(word: str) -> str:
    """The word for what is called by another one, "" for what is not known."""
    plain = word.lower().replace("_", "").replace("-", "").replace(" ", "")
    known = {one.replace("_", ""): one for one in _SECURITY_TYPES}
    return known.get(plain) or _OTHER_WORDS.get(plain) or nearest(word, _SECURITY_TYPES)


def _application_security(cursor: Cursor, reader: Reader) -> ApplicationSecurity | None:
    if not cursor.is_mapping:
        words = [item.text for item in cursor.items()] if cursor.is_list else [cursor.text]
        named = ", ".join(_security_type(word) or "basic_auth" for word in words if word) or "basic_auth"
        reader.wrong(cursor, "a mapping", f"write `{{security-types: [{shown(named)}]}}`")
        return None
    if not reader.mapping(cursor, ("security-types", "optional")):
        return None
    optional = cursor.get("optional")
    types = cursor.get("security-types")
    found = ApplicationSecurity([], bool(reader.boolean(optional)) if optional is not None else False)
    for item in [] if types is None else reader.items(types):
        meant = _security_type(item.text or "")
        hint = f"did you mean `{meant}`?" if meant else ""
        word = reader.choice(item, _SECURITY_TYPES, hint)
        if word is not None:
            found.types.append(Located(word, item.spot))
    return found


def _header(cursor: Cursor, reader: Reader) -> str | None:
    text = reader.text(cursor)
    if text is not None and not FIELD_NAME.fullmatch(text):
        reader.wrong(cursor, "the name of a header")
        return None
    return text


def _transports(cursor: Cursor, reader: Reader) -> tuple[str, ...] | None:
    words = [reader.choice(item, ("http", "https")) for item in reader.items(cursor)]
    found = tuple(dict.fromkeys(word for word in words if word is not None))
    return found or None


def _mutual_ssl(cursor: Cursor, reader: Reader) -> str | None:
    return reader.choice(cursor, ("mandatory", "optional"))


def _scope_rule(cursor: Cursor, reader: Reader) -> bool | None:
    word = reader.choice(cursor, ("any", "all"))
    return None if word is None else word == "all"


def _bound_tokens(cursor: Cursor, reader: Reader) -> str | None:
    return reader.choice(cursor, ("certificate", "dpop", "any", access_rules.OFF))


def _reading(cursor: Cursor, reader: Reader) -> str | None:
    return reader.choice(cursor, READINGS)


_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_BRACKETED = re.compile(r"\[[0-9a-f:.]+\]")


def _hosts(cursor: Cursor, reader: Reader) -> tuple[str, ...] | None:
    found: list[str] = []
    for item in reader.items(cursor):
        text = reader.text(item)
        if text is None:
            continue
        host = text.lower()
        if not (_HOST.fullmatch(host) or _BRACKETED.fullmatch(host)) or len(host) > 253:
            reader.wrong(item, "a host name without a port, or `*.` and one", "a name that is not ASCII starts `xn--`")
        elif host not in found:
            found.append(host)
    return tuple(sorted(found)) or None


TIMEOUT_KEYS = ("connect", "response", "idle", "total")


def _timeouts(cursor: Cursor, reader: Reader) -> Timeouts | None:
    if not reader.mapping(cursor, TIMEOUT_KEYS):
        return None
    values: dict[str, int] = {}
    for key in TIMEOUT_KEYS:
        member = cursor.get(key)
        if member is not None:
            values[f"{key}_ms"] = reader.integer(member, 1) or 0
    return Timeouts(**values)


MAX_COST = 10_000


def _cost(cursor: Cursor, reader: Reader) -> int | None:
    value = reader.integer(cursor)
    if value is not None and value > MAX_COST:
        reader.wrong(cursor, f"a whole number from 0 to {MAX_COST}")
        return None
    return value


def _count(cursor: Cursor, reader: Reader) -> int | None:
    return reader.integer(cursor)


KEYS: dict[str, Key] = {
    "x-wso2-basePath": Key("base_path", (ROOT,), _text),
    "x-wso2-production-endpoints": Key("production", BOTH, endpoints.read_use),
    "x-wso2-sandbox-endpoints": Key("sandbox", BOTH, endpoints.read_use),
    "x-wso2-endpoints": Key("endpoints", (ROOT,), endpoints.read_list),
    "x-wso2-request-interceptor": Key("request_interceptor", BOTH, _text),
    "x-wso2-response-interceptor": Key("response_interceptor", BOTH, _text),
    "x-wso2-throttling-tier": Key("tier", BOTH, _text),
    "x-throttling-tier": Key("apim_tier", BOTH, _text),
    "x-wso2-cors": Key("cors", (ROOT,), cors.read),
    "x-wso2-response-cache": Key("response_cache", (ROOT,), _response_cache),
    "x-wso2-disable-security": Key("disable_security", BOTH, _boolean),
    "x-auth-type": Key("auth_type", (OPERATION,), _text),
    "x-scope": Key("scope", (OPERATION,), _optional_text),
    "x-wso2-application-security": Key("application_security", BOTH, _application_security),
    "x-wso2-auth-header": Key("auth_header", (ROOT,), _header),
    "x-wso2-transports": Key("transports", (ROOT,), _transports),
    "x-wso2-mutual-ssl": Key("mutual_ssl", (ROOT,), _mutual_ssl),
    "x-wso2-owner": Key("owner", (ROOT,), _optional_text),
    "x-microgate-hosts": Key("hosts", (ROOT,), _hosts),
    "x-microgate-https-redirect": Key("https_redirect", (ROOT,), _boolean),
    "x-microgate-timeouts": Key("timeouts", BOTH, _timeouts),
    "x-microgate-max-body": Key("max_body", BOTH, _count),
    "x-microgate-max-in-flight": Key("max_in_flight", BOTH, _count),
    "x-microgate-security": Key("reading", (ROOT,), _reading),
    "x-microgate-scopes": Key("all_scopes", BOTH, _scope_rule),
    "x-microgate-bound-tokens": Key("bound_tokens", BOTH, _bound_tokens),
    "x-microgate-cors": Key("cors_additions", (ROOT,), cors.read_additions),
    "x-microgate-ip": Key("ip", BOTH, access_rules.read_ip),
    "x-microgate-throttling-cost": Key("cost", (OPERATION,), _cost),
    "x-microgate-forward-auth": Key("forward_auth", BOTH, access_rules.read_forward),
}
