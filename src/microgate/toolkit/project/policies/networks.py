"""Addresses of clients as conditions and blocks name them: single ones, networks and ranges, kept in their canonical spelling."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies.keys import MAX_NETWORKS

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values

_FORMS = "write `192.0.2.7`, `10.0.0.0/8`, `2001:db8::/32` or `10.0.0.1-10.0.0.9`"


def read(cursor: Cursor, values: Values) -> tuple[str, ...]:
    """One text or a list of them; each stands once in the result."""
    items = [cursor] if cursor.text is not None else values.items(cursor)
    found = [_one(item, values) for item in values.first(items, "addresses in one list", MAX_NETWORKS)]
    return tuple(dict.fromkeys(text for text in found if text))


def _one(cursor: Cursor, values: Values) -> str:
    text = values.text(cursor)
    if text is None:
        return ""
    if "%" in text:
        _wrong(cursor, values, "leave out the zone; an address is meant on every link")
        return ""
    first, dash, last = text.partition("-")
    return _range(cursor, first.strip(), last.strip(), values) if dash else _network(cursor, text.strip(), values)


def _network(cursor: Cursor, text: str, values: Values) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    try:
        wider = ipaddress.ip_network(text, strict=False)
    except ValueError:
        _wrong(cursor, values, _FORMS)
    else:
        _wrong(cursor, values, f"did you mean the network `{wider}` or one address?")
    return ""


def _range(cursor: Cursor, first: str, last: str, values: Values) -> str:
    try:
        start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        _wrong(cursor, values, _FORMS)
        return ""
    if start.version != end.version:
        _wrong(cursor, values, "both ends of a range are of one kind, IPv4 or IPv6")
    elif int(start) > int(end):
        _wrong(cursor, values, f"the range begins behind its end; did you mean `{end}-{start}`?")
    elif start == end:
        return str(start)
    else:
        return f"{start}-{end}"
    return ""


def _wrong(cursor: Cursor, values: Values, hint: str) -> None:
    message = f"`{shown(cursor.text or '')}` is no address, network or range"
    values.say(cursor, catalogue.POLICY_VALUE, message, hint)
