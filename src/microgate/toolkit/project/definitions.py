"""Fetching the OpenAPI files that a new project begins with: a local file, or an address to download once. Gives each its
name in `api_definitions`; nothing here reads OpenAPI. The build itself never fetches anything.
"""

from __future__ import annotations

import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from microgate.errors import ProjectError

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_SECONDS = 30.0
SUFFIXES = (".yaml", ".yml", ".json")

_DISPOSITION = re.compile(r"""filename\*?=(?:UTF-8'')?(?:"([^"]*)"|([^;\s]+))""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Access:
    """How to ask a server for a file: more request headers, and whether its certificate must be good."""

    headers: tuple[tuple[str, str], ...] = ()
    insecure: bool = False


def fetch(source: str, access: Access) -> tuple[str, bytes]:
    """Name and content of the file at a path or http(s) address. Raises ProjectError."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", source):
        return _download(source, access)
    file = Path(source)
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ProjectError(f"{source}: cannot be read: {reason or error}") from error
    return _checked(source, file.name, content)


def _checked(source: str, name: str, content: bytes) -> tuple[str, bytes]:
    if len(content) > MAX_BYTES:
        raise ProjectError(f"{source}: is larger than {MAX_BYTES // 1024 // 1024} MB")
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"", b"<"):
        what = "is empty" if not start else "is HTML or XML"
        raise ProjectError(f"{source}: {what}, not an OpenAPI description", "check the path or address")
    if not name.lower().endswith(SUFFIXES):
        name += ".json" if start == b"{" else ".yaml"
    return name, content


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects over HTTP only, and takes the user's headers to no other server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if after.scheme not in ("http", "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"and redirects to {newurl}", headers, fp)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and (before.scheme, before.netloc) != (after.scheme, after.netloc):
            following.headers.clear()
        return following


def _download(url: str, access: Access) -> tuple[str, bytes]:
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise ProjectError(f"{url}: is not an address: {error}") from error
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise ProjectError(f"{url}: is not an http or https address")
    if parts.username is not None:
        raise ProjectError(
            "the address of an API definition must not carry a password",
            "send it as a header: --headers Authorization --values 'Basic ...'",
        )
    context = ssl.create_default_context()
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(_Redirects, urllib.request.HTTPSHandler(context=context))
    # What people paste may hold blanks and letters of any language.
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]", errors="surrogateescape")
    request = urllib.request.Request(quoted, headers={"Accept": "*/*", **dict(access.headers)})  # noqa: S310 - checked above
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = answer.read(MAX_BYTES + 1)
            if len(content) <= MAX_BYTES and answer.length:
                raise ProjectError(f"{url}: cannot be downloaded: the server stopped {answer.length:,} bytes early")
            name = _file_name(answer.headers.get("Content-Disposition", ""), parts.path)
    except urllib.error.HTTPError as error:
        error.close()
        raise ProjectError(f"{url}: cannot be downloaded: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or reason
        raise ProjectError(f"{url}: cannot be downloaded: {reason}") from error
    return _checked(url, name, content)


def _file_name(disposition: str, path: str) -> str:
    found = _DISPOSITION.search(disposition)
    raw = (found.group(1) or found.group(2) or "") if found else ""
    for candidate in (raw, path.rstrip("/")):
        # A server chooses a name, never a folder.
        name = re.split(r"[/\\]", urllib.parse.unquote(candidate))[-1]
        name = "".join(c for c in name if c.isprintable()).lstrip(".").strip()
        if name:
            return name[-100:]
    return "api"
