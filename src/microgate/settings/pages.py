"""Settings of pages from other origins (CORS), under the names that the toolkit of 3.x had for them, and their rules."""

import re
from typing import TYPE_CHECKING, Annotated

from microgate.settings import catalogue
from microgate.settings.section import Section, acts

if TYPE_CHECKING:
    from microgate.settings.model import Settings
    from microgate.settings.rules import Finder

ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE
)
ORIGIN_HINT = "an origin has no path and no final slash, as in `https://app.example.com`"
_TABLE = "corsConfiguration"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2


class Pages(Section, frozen=True):
    """Pages of other origins: for APIs without `x-wso2-cors` and for the gateway's own services. Off, backends decide."""

    cors_configuration_enabled: Annotated[bool, acts("let pages of other origins call")] = False
    access_control_allow_origins: Annotated[tuple[str, ...], acts("origins that may call; `*` for any")] = ("*",)
    access_control_allow_credentials: Annotated[bool, acts("with cookies and other credentials of the browser")] = False
    access_control_allow_headers: Annotated[tuple[str, ...], acts("headers that a page may send; `*` for any")] = (
        "authorization",
        "Access-Control-Allow-Origin",
        "Content-Type",
        "SOAPAction",
    )
    access_control_allow_methods: Annotated[tuple[str, ...], acts("methods that a page may use; `*` for any")] = (
        "GET",
        "PUT",
        "POST",
        "DELETE",
        "PATCH",
        "OPTIONS",
    )


_LISTS = ("accessControlAllowOrigins", "accessControlAllowHeaders", "accessControlAllowMethods")


def pages(settings: "Settings", finder: "Finder") -> None:
    """What a browser would refuse, or could never match."""
    found = settings.pages
    for origin in found.access_control_allow_origins:
        if origin not in ("*", "null") and not ORIGIN.fullmatch(origin):
            key = f"{_TABLE}.accessControlAllowOrigins"
            finder.found(catalogue.ADDRESS, key, f"`{key}` has `{origin}`, which is no origin", ORIGIN_HINT)
    for word, names in (
        ("Headers", found.access_control_allow_headers),
        ("Methods", found.access_control_allow_methods),
    ):
        for name in names:
            if not _TOKEN.fullmatch(name):
                key = f"{_TABLE}.accessControlAllow{word}"
                what = "name of a header" if word == "Headers" else "method"
                finder.found(catalogue.RANGE, key, f"`{key}` has `{name}`, which is no {what}")
    key = f"{_TABLE}.accessControlAllowCredentials"
    if found.access_control_allow_credentials and "*" in found.access_control_allow_origins:
        message = f"`{key}` with any origin is refused by browsers"
        finder.found(catalogue.CONTRADICTION, key, message, "list the origins, or do not allow credentials")
    switch = f"{_TABLE}.corsConfigurationEnabled"
    written = [f"{_TABLE}.{name}" for name in (*_LISTS, "accessControlAllowCredentials")]
    first = next((name for name in written if finder.is_set(name)), "")
    if first and not finder.is_set(switch):
        message = f"`{first}` has no effect without `{switch}`"
        finder.found(catalogue.WITHOUT_EFFECT, first, message, f"add `{switch.rpartition('.')[2]} = true`")
