"""Conditions as a traffic manager's messages carry them (`evaluatedConditions`, WSO2 §11.3), read into those of a plan.

A message is base64url of a JSON list. Its items are alternatives; within one all holds together. What is no such list is no
condition at all: it is counted and told in the log, and never raises.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import logging
from itertools import product
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from microgate import patterns
from microgate.plan.model import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    # Alternatives, of which one suffices; within each all conditions hold.
    Items: TypeAlias = tuple[tuple[Condition, ...], ...]

log = logging.getLogger("microgate.throttling")

MAX_TEXT = 65_536
MAX_ITEMS = 1_000  # alternatives, those of inverted lists included
MAX_NAMES = 32  # of one part of an item
MAX_PARTS = 128  # of all items together that have patterns, since each costs time to prove
MAX_NAME = 1_024
TOLD_SECONDS = 60.0
_IPV4_END = 1 << 32
_IPV6_END = 1 << 128
_KINDS = {"header": "header", "queryparametertype": "query", "jwtclaims": "claim"}
ALL_KINDS = frozenset({"header", "query", "claim"})


class UnreadableError(ValueError):
    """Why a text is no list of conditions; shows nothing of it."""


class ConditionReader:
    """Reads messages; what cannot be read is counted each time and told at most once a minute."""

    def __init__(self, count: Callable[[int], None], enabled: frozenset[str] = ALL_KINDS) -> None:
        """`enabled` are the kinds beside addresses that the settings ask for: header, query and claim."""
        self._count = count
        self._enabled = enabled
        self._untold = 0
        self._told_at = float("-inf")

    def read(self, text: str) -> Items | None:
        """The alternatives; empty where none can hold for any request, None for what cannot be read."""
        try:
            return parse(text, self._enabled)
        except UnreadableError as error:
            self._count(1)
            self._untold += 1
            if monotonic() - self._told_at >= TOLD_SECONDS:
                log.warning("%d conditions of the traffic manager cannot be read: %s", self._untold, error)
                self._untold, self._told_at = 0, monotonic()
            return None


def parse(text: str, enabled: frozenset[str] = ALL_KINDS) -> Items:
    """The alternatives of a message; raises UnreadableError.

    Parts that are not enabled are left out, and an item of which nothing is left holds for nobody: what the settings do not want
    looked at must not refuse everybody.
    """
    listed = _decode(text)
    if not all(isinstance(item, dict) for item in listed):
        raise UnreadableError("an item is no object")
    if sum(len(_KINDS.keys() & item.keys()) for item in listed) > MAX_PARTS:
        raise UnreadableError(f"there are more than {MAX_PARTS} parts with patterns")
    found: list[tuple[Condition, ...]] = []
    for item in listed:
        found += _alternatives(item, enabled)
        if len(found) > MAX_ITEMS:
            raise UnreadableError(f"there are more than {MAX_ITEMS} alternatives")
    return tuple(found)


def _decode(text: str) -> list[dict[str, Any]]:
    if len(text) > MAX_TEXT:
        raise UnreadableError(f"it is longer than {MAX_TEXT} characters")
    plain = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
    try:
        data = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True)
        listed = msgspec.json.decode(data)
    except (binascii.Error, ValueError, RecursionError):
        # Errors of msgspec and of text that is not ASCII are ValueErrors too.
        raise UnreadableError("it is not JSON in base64url") from None
    if not isinstance(listed, list):
        raise UnreadableError("it is no list")
    return listed


def _alternatives(item: dict[str, Any], enabled: frozenset[str]) -> list[tuple[Condition, ...]]:
    """One item. A part that inverts several names says that not all of them match, which is an alternative for each."""
    choices: list[list[tuple[Condition, ...]]] = []
    for name, part in item.items():
        if part is None:
            continue
        if not isinstance(part, dict):
            raise UnreadableError("a part of an item is no object")
        if name == "ipspecific":
            choices.append([(_single(part),)])
        elif name == "iprange":
            choices.append([(_between(part),)])
        elif name not in _KINDS:
            raise UnreadableError("an item has a part that nobody knows")
        elif _KINDS[name] in enabled:
            choices.append(_named(_KINDS[name], part))
    if not choices:
        return []
    length = 1
    for choice in choices:
        length *= len(choice)
    if length > MAX_ITEMS:
        raise UnreadableError(f"there are more than {MAX_ITEMS} alternatives")
    return [tuple(condition for group in chosen for condition in group) for chosen in product(*choices)]


def _named(kind: str, part: dict[str, Any]) -> list[tuple[Condition, ...]]:
    values = part.get("values")
    if not isinstance(values, dict) or not values or len(values) > MAX_NAMES:
        raise UnreadableError(f"`values` is no object of up to {MAX_NAMES} names")
    invert = _is_inverted(part)
    conditions = []
    for name, pattern in values.items():
        if not name or len(name) > MAX_NAME or not isinstance(pattern, str) or patterns.problem(pattern):
            raise UnreadableError("one of `values` is no pattern")
        told = name.lower() if kind == "header" else name
        conditions.append(Condition(kind, told, pattern, invert=invert))
    return [(condition,) for condition in conditions] if invert else [tuple(conditions)]


def _single(part: dict[str, Any]) -> Condition:
    number = _number(part.get("specificIp"))
    return Condition("address", networks=(str(_address(number, number)),), invert=_is_inverted(part))


def _between(part: dict[str, Any]) -> Condition:
    """The addresses between two, which do not belong to it themselves."""
    begin, end = _number(part.get("startingIp")), _number(part.get("endingIp"))
    invert = _is_inverted(part)
    if end <= begin:
        raise UnreadableError("a range of addresses ends before it begins")
    if (begin < _IPV4_END) != (end < _IPV4_END):
        raise UnreadableError("a range of addresses begins with IPv4 and ends with IPv6")
    if end - begin < 2:
        return Condition("address", invert=invert)
    first, last = _address(begin + 1, begin), _address(end - 1, end)
    return Condition("address", networks=(f"{first}-{last}",), invert=invert)


def _address(number: int, of: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address with this number, of the kind that `of` is."""
    return ipaddress.IPv4Address(number) if of < _IPV4_END else ipaddress.IPv6Address(number)


def _number(value: object) -> int:
    """An address as a number, which may be written as text; as an address it is taken too."""
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) <= len(str(_IPV6_END)):
            value = int(text)
        else:
            try:
                value = int(ipaddress.ip_address(text))
            except ValueError:
                raise UnreadableError("an address is none") from None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _IPV6_END:
        raise UnreadableError("an address is none")
    return value


def _is_inverted(part: dict[str, Any]) -> bool:
    invert = part.get("invert", False)
    if invert in ("true", "false"):
        return bool(invert == "true")
    if not isinstance(invert, bool):
        raise UnreadableError("`invert` is neither true nor false")
    return invert
