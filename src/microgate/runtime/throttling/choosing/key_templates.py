"""Key templates of custom policies, linked: what `$userId:$apiContext` and the like make of a request (WSO2 §11.3).

A request that lacks what a template names has no key, so the policy does not limit it: callers of whom nothing is known must not
share one count. What comes from clients is bounded and kept apart, so that no value can be taken for two others.
"""

from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING, TypeAlias

from microgate.runtime.throttling.choosing import identities, values
from microgate.runtime.throttling.levels import address_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.plan.model import Api, Operation
    from microgate.runtime.exchange import Exchange

    # What a variable stands for: several values where the request has several, none where it has none.
    Variable: TypeAlias = Callable[[Exchange], list[bytes]]

log = logging.getLogger("microgate.throttling")

MAX_VALUE_BYTES = 256  # of a value that stands in a key as it is; of a longer one there stands a digest
MAX_TEXT = 4_096

_VARIABLE = re.compile(r"\$([A-Za-z0-9_]+)(?:\.([A-Za-z0-9_-]+))?", re.ASCII)
_NAMED = frozenset({"claim", "header", "query", "customProperty"})
_DIGEST_BYTES = 16
_told: set[str] = set()


def link(template: str, api: Api, operation: Operation) -> Callable[[Exchange], str | None]:
    """The key of a request at this operation, None where it lacks a value. Different values never make the same key."""
    parts = _parse(template, api, operation)
    variables = tuple(part for part in parts if not isinstance(part, str))
    # The template itself is in the key: `$header.a` and `$header.b` share nothing, whatever the values.
    constant = "\0".join((template, *(part for part in parts if isinstance(part, str))))

    def expand(exchange: Exchange) -> str | None:
        pieces = [constant]
        for variable in variables:
            found = variable(exchange)
            if not found:
                return None
            pieces.append(_piece(found))
        return "\0".join(pieces)

    return expand


def link_text(template: str, api: Api, operation: Operation) -> Callable[[Exchange], str | None]:
    """The text that a traffic manager makes of the same template: values as they are, of several the last."""
    parts = _parse(template, api, operation, whole_addresses=True)

    def expand(exchange: Exchange) -> str | None:
        pieces = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            found = part(exchange)
            if not found:
                return None
            pieces.append(found[-1].decode("utf-8", "replace"))
        text = "".join(pieces)
        return text if len(text) <= MAX_TEXT else None

    return expand


def _piece(found: list[bytes]) -> str:
    """Values so that no others look like them: with their length, or as a digest that is marked as one."""
    if len(found) == 1:
        value = found[0]
        if len(value) <= MAX_VALUE_BYTES:
            return f"{len(value)}:{value.decode('latin-1')}"
        return "~" + hashlib.blake2b(value, digest_size=_DIGEST_BYTES).hexdigest()
    whole = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for value in found:
        whole.update(b"%d:" % len(value))
        whole.update(value)
    return "+" + whole.hexdigest()


def _parse(template: str, api: Api, operation: Operation, *, whole_addresses: bool = False) -> list[str | Variable]:
    parts: list[str | Variable] = []
    end = 0
    for match in _VARIABLE.finditer(template):
        parts.append(template[end : match.start()])
        name, below = match.group(1), match.group(2)
        end = match.end() if name in _NAMED else match.end(1)
        parts.append(_resolve(name, below or "", api, operation, whole_addresses=whole_addresses))
    parts.append(template[end:])
    return [part for part in parts if part != ""]


def _resolve(name: str, below: str, api: Api, operation: Operation, *, whole_addresses: bool) -> str | Variable:
    fixed = _constants(api, operation).get(name)
    if fixed is not None:
        return fixed
    if name in _NAMED:
        return _named(name, below)
    if name == "clientIp":
        return _whole_address if whole_addresses else _address
    asked = {
        "userId": identities.user_of,
        "appId": identities.application_id_of,
        "appTenant": identities.application_tenant_of,
    }
    # The compiler lets no other name pass.
    return _of_caller(asked[name])


def _constants(api: Api, operation: Operation) -> dict[str, str]:
    base_path = "" if api.base_path == "/" else api.base_path
    return {
        "resourceKey": f"{base_path}/{api.version}{operation.path}:{operation.method}",
        "apiContext": api.base_path,
        "apiVersion": api.version,
        "apiTenant": identities.api_tenant_of(api),
    }


def _named(name: str, below: str) -> Variable:
    if name == "header":
        field = below.lower().encode()
        return lambda exchange: values.of_header(exchange, field)
    if name == "query":
        parameter = below.encode()
        return lambda exchange: values.of_query(exchange, parameter)
    if name == "claim":
        return lambda exchange: values.of_claim(exchange, below)
    if below not in _told:
        _told.add(below)
        log.warning("a key template names `$customProperty.%s`, which nothing sets: the policy limits nobody", below)
    return _nothing


def _of_caller(ask: Callable[[Exchange], str | None]) -> Variable:
    def find(exchange: Exchange) -> list[bytes]:
        text = ask(exchange)
        return [] if text is None else [text.encode("utf-8", "surrogatepass")]

    return find


def _nothing(exchange: Exchange) -> list[bytes]:
    return []


def _address(exchange: Exchange) -> list[bytes]:
    return [address_of(exchange.client).encode()]


def _whole_address(exchange: Exchange) -> list[bytes]:
    return [exchange.client.encode()]
