"""Where brokers are, as settings write it: 3.x's form with a `brokerlist`, or a plain `amqp://` URL (§5.5).

Rooms prove their settings with `place_of` before anything serves; `brokers.py` connects.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from microgate.errors import SettingsError

HEARTBEAT_SECONDS = 5
_PORTS = {"amqp": 5672, "amqps": 5671}


class Address(NamedTuple):
    """One broker; `text` is the URL that the client takes."""

    secure: bool
    text: str


Place = tuple[Address, ...]  # brokers of which any one will do


def place_of(key: str, url: str, username: str = "", password: str = "") -> Place:
    """The brokers of the setting `key`; raises SettingsError, also where the client of AMQP is not installed."""
    if importlib.util.find_spec("aiormq") is None:
        raise SettingsError(f"`{key}` needs a client of AMQP, which is not installed", "pip install microgate[amqp]")
    return addresses(key, url, username, password)


def addresses(key: str, url: str, username: str = "", password: str = "") -> Place:
    try:
        parts = urlsplit(url)
        default_port = _PORTS[parts.scheme]
        user = username or unquote(parts.username or "guest")
        secret = password or unquote(parts.password or "guest")
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        options = dict(one.partition("=")[::2] for one in parts.query.split("&"))
        listed = options.get("brokerlist", "").strip("'\"")
        if not listed:
            port = parts.port or default_port
            return (_address(parts.scheme, login, parts.hostname or "", port, unquote(parts.path[1:]) or "/"),)
        return tuple(_of_list(one, login, unquote(parts.path[1:])) for one in listed.split(";"))
    except (ValueError, KeyError):
        hint = "write `amqp://user:password@host:5672/vhost`, or with `?brokerlist='tcp://host:5672'` as under 3.x"
        raise SettingsError(f"`{key}` is no address of a broker", hint) from None


def _of_list(broker: str, login: str, vhost: str) -> Address:
    parts = urlsplit(broker.strip())
    secure = parts.scheme in ("ssl", "amqps") or "ssl='true" in parts.query
    scheme = "amqps" if secure else "amqp"
    # `carbon` of WSO2's own address is the name by which its broker knows its one virtual host.
    return _address(scheme, login, parts.hostname or "", parts.port or _PORTS[scheme], vhost or "/")


def _address(scheme: str, login: str, host: str, port: int, vhost: str) -> Address:
    if not host:
        raise ValueError(host)
    shown = f"[{host}]" if ":" in host else host
    text = f"{scheme}://{login}@{shown}:{port}/{quote(vhost, safe='')}?heartbeat={HEARTBEAT_SECONDS}"
    return Address(scheme == "amqps", text)
