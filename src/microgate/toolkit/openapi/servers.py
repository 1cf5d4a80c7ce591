"""Servers of a description (OpenAPI 3 `servers`, 2.0 `host`, `basePath` and `schemes`), variables replaced by their defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.diagnostics import Report
    from microgate.toolkit.openapi.cursor import Cursor, Spot

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_SOCKET_SCHEMES = ("ws", "wss")


@dataclass(frozen=True)
class Server:
    """One server. `url` may be relative; then it names a base path and no backend."""

    url: str
    at: Spot
    is_reported: bool = False  # it is wrong, and a diagnostic says so

    @property
    def is_absolute(self) -> bool:
        return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", self.url))

    @property
    def path(self) -> str:
        """The path, without a trailing slash; raises ValueError for a URL that cannot be split."""
        return urlsplit(self.url).path.rstrip("/")


def read_servers(parent: Cursor, report: Report) -> list[Server]:
    """`servers` of a document, path item or operation. A single `/` counts as absent (WSO2 §3.2)."""
    servers = parent.get("servers")
    if servers is None:
        return []
    if not servers.is_list:
        report.add(servers.spot.diagnostic(catalogue.WRONG_TYPE, f"`servers` must be a list, not {servers.kind}"))
        return []
    found: list[Server] = []
    for item in servers.items():
        url = item.get("url")
        if url is None or url.text is None:
            at = item if url is None else url
            report.add(at.spot.diagnostic(catalogue.PROPERTY_MISSING, "a server needs `url`, a text"))
            found.append(Server("", at.spot, is_reported=True))
            continue
        text = _with_defaults(url.text, item, report)
        if text is None:
            found.append(Server("", url.spot, is_reported=True))
        elif scheme(text) in _SOCKET_SCHEMES:
            message = f"`{shown(text)}` is not used: WebSocket backends are not served yet"
            report.add(url.spot.diagnostic(catalogue.URLS_UNUSED, message, "remove the server"))
        else:
            found.append(Server(text, url.spot))
    if len(found) == 1 and not found[0].is_reported and found[0].url.rstrip("/") == "":
        return []
    return found


def scheme(url: str) -> str:
    """The scheme of a URL, lower case, "" if there is none."""
    head, colon, _ = url.partition(":")
    return head.lower() if colon and head.isalpha() else ""


def _with_defaults(url: str, server: Cursor, report: Report) -> str | None:
    variables = server.get("variables")
    complete = True

    def default(match: re.Match[str]) -> str:
        nonlocal complete
        variable = variables.get(match[1]) if variables else None
        value = variable.get("default") if variable else None
        if value is not None and isinstance(value.value, str | int | float):
            return str(value.value)
        complete = False
        at = variable or server
        message = f"the server variable `{shown(match[1])}` has no default"
        hint = f"add `variables: {{{shown(match[1])}: {{default: …}}}}` to the server"
        report.add(at.spot.diagnostic(catalogue.SERVER_VARIABLE, message, hint))
        return ""

    text = _VARIABLE.sub(default, url)
    return text if complete else None


def read_host(root: Cursor, report: Report) -> list[Server]:
    """The one server that `host`, `basePath` and `schemes` of OpenAPI 2.0 name."""
    base = root.get("basePath")
    path = _text(base, report)
    host_cursor = root.get("host")
    host = _text(host_cursor, report)
    if host_cursor is None or not host:
        return [Server(path, base.spot)] if base is not None and path.rstrip("/") else []
    if path and not path.startswith("/"):
        path = "/" + path
    schemes = root.get("schemes")
    words = [str(item.value).lower() for item in schemes.items()] if schemes else []
    usable = [word for word in ("https", "http") if word in words]
    if not usable:
        message = f"`schemes` names neither http nor https, so https is used for `{shown(host)}`"
        hint = "add `schemes: [https]` or `schemes: [http]`"
        report.add((schemes or host_cursor).spot.diagnostic(catalogue.SCHEME_ASSUMED, message, hint))
    return [Server(f"{(usable or ['https'])[0]}://{host}{path}", host_cursor.spot)]


def _text(cursor: Cursor | None, report: Report) -> str:
    if cursor is None:
        return ""
    if cursor.text is None:
        report.add(cursor.spot.diagnostic(catalogue.WRONG_TYPE, f"`{cursor.key}` must be a text, not {cursor.kind}"))
        return ""
    return cursor.text.strip()
