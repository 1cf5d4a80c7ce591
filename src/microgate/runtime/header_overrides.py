"""What `[[server.headerConf]]` and `server.header` do to fields on both sides (WSO2 §14.6); linked only where they are set.

`User-Agent` is meant for requests, `Server` for answers, any other name for both. Forwarding and assembly ask; that names are
sound and frame no message is a rule of the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.runtime.exchange import Exchange, Lines
    from microgate.runtime.pipeline import AnswerStage
    from microgate.settings.model import Server

_SERVER = b"server"
_USER_AGENT = b"user-agent"


def for_requests(settings: Server) -> Callable[[Lines], Lines] | None:
    """What to do to the fields on their way to a backend; None for nothing."""
    values = _values(settings)
    values.pop(_SERVER, None)
    if not values:
        return None
    agent = values.get(_USER_AGENT)

    def override(lines: Lines) -> Lines:
        lines = _overridden(lines, values)
        if agent and not _has(lines, _USER_AGENT):
            lines.append(b"User-Agent: " + agent)
        return lines

    return override


def for_answers(settings: Server) -> AnswerStage | None:
    """The stage that sees to the fields of every answer; None for nothing.

    `server.header` is for answers of the gateway's own. Without it an overriding value for `Server` is for all answers.
    """
    values = _values(settings)
    values.pop(_USER_AGENT, None)
    general = values.get(_SERVER, b"")
    own = settings.header.strip().encode() or general
    if not values and not own:
        return None
    missing = b"" if settings.header else general

    def override(exchange: Exchange, lines: Lines) -> None:
        if values:
            lines[:] = _overridden(lines, values)
        # Without the head of a backend's answer it is one of the gateway's own.
        server = missing if exchange.answer_head_at else own
        if server and not _has(lines, _SERVER):
            lines.append(b"Server: " + server)

    return override


def _values(settings: Server) -> dict[bytes, bytes]:
    """Lower-case names and what stands there instead, b"" for nothing. What a later entry says of a name counts."""
    values: dict[bytes, bytes] = {}
    for entry in settings.header_conf:
        name = entry.header_name.lower().encode()
        value = entry.override_value.strip().encode()
        preserves = entry.preserve_header
        if preserves is None:
            preserves = name == _SERVER or not value
        if preserves:
            values.pop(name, None)
        else:
            values[name] = value
    return values


def _overridden(lines: Lines, values: dict[bytes, bytes]) -> Lines:
    """The lines with these values; a field that is overridden stands once, as it was spelt first."""
    out = []
    done = set()
    for line in lines:
        name = line[: line.find(b":")]
        lower = name.lower()
        value = values.get(lower)
        if value is None:
            out.append(line)
        elif value and lower not in done:
            done.add(lower)
            out.append(b"%b: %b" % (name, value))
    return out


def _has(lines: Lines, name: bytes) -> bool:
    return any(line[: line.find(b":")].lower() == name for line in lines)
