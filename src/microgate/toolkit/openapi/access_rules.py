"""Reads what bounds or decides access beside credentials: `x-microgate-ip` and `x-microgate-forward-auth`."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from microgate.plan.model import ForwardAuth, IpRules
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.endpoints import check_url
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.openapi.values import FIELD_NAME

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.openapi.values import Reader

IP_KEYS = ("allow", "deny")
FORWARD_KEYS = ("url", "timeout-ms", "send-headers", "take-headers", "cache-by", "cache-seconds")
OFF = "off"  # what an operation says to be left out of what the root demands
NOBODY_DECIDES = ForwardAuth(url="")
MAX_TIMEOUT_MS = 60_000
MAX_CACHE_SECONDS = 86_400
# Whoever could set these would decide where a message ends or who its reader is.
FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
CREDENTIALS = ("authorization", "cookie")


_MAPPED_BITS = 96  # of ::ffff:0:0/96 (RFC 4291 §2.5.5.2)


def read_ip(cursor: Cursor, reader: Reader) -> IpRules | None:
    """`{allow, deny}`, each a list of addresses and networks; kept in their canonical spelling."""
    if not cursor.is_mapping:
        reader.wrong(cursor, "a mapping with `allow` or `deny`", "write `{allow: [10.0.0.0/8]}`")
        return None
    reader.mapping(cursor, IP_KEYS)
    lists: dict[str, tuple[str, ...]] = {}
    for key in IP_KEYS:
        member = cursor.get(key)
        if member is not None:
            texts = [_network(item, reader) for item in reader.items(member)]
            lists[key] = tuple(dict.fromkeys(text for text in texts if text is not None))
    if not lists and not list(cursor.members()):
        reader.wrong(cursor, "a mapping with `allow` or `deny`", found="an empty one")
    return IpRules(**lists) if lists else None


def _network(item: Cursor, reader: Reader) -> str | None:
    text = reader.text(item)
    if text is None:
        return None
    if "%" in text:
        reader.wrong(item, "an IP address or a network", "leave out the zone; an address is meant on every link")
        return None
    try:
        return _canonical(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        reader.wrong(item, "an IP address or a network", "write `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`")
    else:
        reader.wrong(item, "an IP address or a network", f"did you mean the network `{wider}` or one address?")
    return None


def _canonical(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """One spelling for each: IPv4 that is written as IPv6 (`::ffff:10.0.0.1`) is IPv4."""
    inner = getattr(network.network_address, "ipv4_mapped", None)
    if inner is not None and network.prefixlen >= _MAPPED_BITS:
        network = ipaddress.IPv4Network((inner, network.prefixlen - _MAPPED_BITS))
    is_address = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if is_address else str(network)


def read_forward(cursor: Cursor, reader: Reader) -> ForwardAuth | None:
    """The service that decides, and what passes between it and the gateway; `NOBODY_DECIDES` for `off`."""
    if (cursor.text or "").lower() == OFF:
        return NOBODY_DECIDES
    if not cursor.is_mapping:
        reader.wrong(cursor, f"a mapping or `{OFF}`")
        return None
    if not reader.mapping(cursor, FORWARD_KEYS):
        return None
    url, timeout, send, take, cache_by, cache = (cursor.get(key) for key in FORWARD_KEYS)
    if url is None:
        reader.missing(cursor, "url", "add `url: https://…`")
        return None
    found = ForwardAuth(
        url=_url(url, reader) or "",
        timeout_ms=_bounded(timeout, reader, (1, ForwardAuth("").timeout_ms, MAX_TIMEOUT_MS)),
        send_headers=_names(send, reader),
        take_headers=_names(take, reader),
        cache_by=_names(cache_by, reader),
        cache_s=_bounded(cache, reader, (0, 0, MAX_CACHE_SECONDS)),
    )
    _check_cache(found, cursor if cache_by is None else cache_by, reader)
    return found if found.url else None


def _url(cursor: Cursor, reader: Reader) -> str | None:
    text = reader.text(cursor)
    if text is None or not check_url(text, cursor.spot, reader.report):
        return None
    if not text.lower().startswith("http"):
        reader.wrong(cursor, "an address that begins with `http://` or `https://`")
        return None
    return text


def _bounded(cursor: Cursor | None, reader: Reader, bounds: tuple[int, int, int]) -> int:
    """The number between the first and the last of `bounds`, the middle one where there is none."""
    low, default, high = bounds
    value = default if cursor is None else reader.integer(cursor, low)
    if cursor is not None and value is not None and value > high:
        reader.wrong(cursor, f"a whole number, {high} or less")
    return default if value is None else min(value, high)


def _names(cursor: Cursor | None, reader: Reader) -> tuple[str, ...]:
    found: list[str] = []
    for item in [] if cursor is None else reader.items(cursor):
        text = reader.text(item)
        if text is None:
            continue
        name = text.lower()
        if not FIELD_NAME.fullmatch(name) or name in FRAMING:
            hint = f"`{shown(text)}` belongs to the connection" if name in FRAMING else ""
            reader.wrong(item, "the name of a header that may be passed on", hint)
        elif name not in found:
            found.append(name)
    return tuple(found)


def _check_cache(found: ForwardAuth, at: Cursor, reader: Reader) -> None:
    """A verdict may be used again only for requests that the service would have seen as equal."""
    if not found.cache_s:
        if found.cache_by:
            _contradiction(at, "`cache-by` has no effect without `cache-seconds`", "add `cache-seconds`", reader)
        return
    if not found.cache_by:
        message = "without `cache-by` the verdict on one caller would be used for all others"
        _contradiction(at, message, "list the headers that decide, or remove `cache-seconds`", reader)
    for name in found.cache_by:
        if name not in found.send_headers:
            hint = f"add `{name}` to `send-headers`"
            _contradiction(at, f"verdicts are cached by `{name}`, which the service does not see", hint, reader)
    for name in CREDENTIALS:
        if found.cache_by and name in found.send_headers and name not in found.cache_by:
            message = f"the service sees `{name}`, so a cached verdict would pass from one caller to another"
            _contradiction(at, message, f"add `{name}` to `cache-by`", reader)


def _contradiction(at: Cursor, message: str, hint: str, reader: Reader) -> None:
    reader.report.add(at.spot.diagnostic(catalogue.CONTRADICTION, message, hint))
