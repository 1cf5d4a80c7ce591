"""Where a store is: `redis://` and `rediss://` addresses as the settings have them, read once at the start."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from microgate.errors import SettingsError

PORT = 6379


class Address(NamedTuple):
    """One node."""

    host: str
    port: int

    @property
    def shown(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Place(NamedTuple):
    """A store, and how to get in. Of several addresses a cluster has its nodes there; else the first that can be had serves."""

    addresses: tuple[Address, ...]
    secure: bool = False
    username: str = ""
    password: str = ""
    database: int = 0
    cluster: bool = False


def read_place(urls: tuple[str, ...], username: str = "", password: str = "", *, cluster: bool = False) -> Place:
    """The place of some addresses; user and password that are given beat those in them. Raises SettingsError, without secrets."""
    found: list[Address] = []
    schemes, databases = set(), set()
    for url in urls:
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:
            hint = "write `rediss://host:port`, with a port up to 65535"
            raise SettingsError("an address of the store is not valid", hint) from None
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
            raise SettingsError("an address of the store is no `redis://` or `rediss://` address")
        number = parts.path.strip("/")
        if number and not (number.isascii() and number.isdecimal() and len(number) < 6):
            raise SettingsError("an address of the store ends in no number of a database", "write `/0`, or nothing")
        found.append(Address(parts.hostname, port))
        schemes.add(parts.scheme)
        databases.add(int(number or 0))
        username = username or unquote(parts.username or "")
        password = password or unquote(parts.password or "")
    if len(schemes) != 1 or len(databases) != 1:
        raise SettingsError("the addresses of the store differ in more than host and port")
    database = databases.pop()
    if cluster and database:
        raise SettingsError("a cluster has one database, `/0`")
    return Place(tuple(found), schemes == {"rediss"}, username, password, database, cluster)
