"""What the URL of a backend may be. The compiler asks it about descriptions, the settings about what replaces their URLs at
start, so that both refuse the same ones.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
_USER = re.compile(r"[^/?#]*//[^/?#]*@")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def carries_credentials(url: str) -> bool:
    """Whether a user name or password stands before the host; such a URL must not be shown."""
    return _USER.match(url) is not None


def url_problem(url: str) -> str:
    """What is wrong with an absolute backend URL, or ""."""
    if _FORBIDDEN.search(url):
        return "it holds a blank or another character that a URL cannot hold"
    if not url.isascii():
        return "it holds a character that is not ASCII; encode it"
    if _BAD_PERCENT.search(url):
        return "a `%` begins no encoded byte"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)[:1].lower() + str(error)[1:]
    if parts.scheme == "unix":
        return "" if parts.path.startswith("/") and not parts.netloc else "after `unix:` comes an absolute path"
    if parts.scheme not in ("http", "https"):
        return "it does not begin with `http://`, `https://` or `unix:/`"
    if not parts.hostname:
        return "it has no host"
    if port == 0:
        return "it has no usable port"
    return "it has a fragment" if "#" in url else ""
