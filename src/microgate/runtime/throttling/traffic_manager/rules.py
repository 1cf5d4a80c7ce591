"""What the traffic manager says that is more than a key and a time: key templates, blocks, and condition groups.

The steward keeps it here and writes it down for the workers, within bounds; `sight.py` reads it. What finds no room is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

import msgspec

from microgate.plan.model import Block
from microgate.runtime.address_ranges import Ranges
from microgate.runtime.throttling.choosing.identities import SUPER_TENANT
from microgate.runtime.throttling.traffic_manager.bounded import Bounded
from microgate.runtime.throttling.traffic_manager.messages import MAX_KEY, MAX_VALUE

if TYPE_CHECKING:
    from typing import TypeAlias

    from microgate.runtime.throttling.traffic_manager.messages import Blocked, Decision, Template

    Name: TypeAlias = tuple[str, str, tuple[str, ...], bool, str]  # what tells one block from another

# Together they are less than the memory has room for.
MAX_TEMPLATES, MAX_TEMPLATE_BYTES = 1_000, 128 << 10
MAX_BLOCKS, MAX_BLOCK_BYTES = 10_000, 640 << 10
MAX_GROUPS, MAX_GROUP_BYTES = 2_000, 1 << 20
_ENTRY_BYTES = 64  # about what an entry costs beside its texts

# API and resource keys have a path in them, `/shop:1.0.0` and `/shop/1.0.0/a:GET`.
_GROUP_KEY = re.compile(r"(/.*:.*)_(condition_[0-9]{1,9}|default)")
_KINDS = {"API": "api", "USER": "user", "APPLICATION": "application", "IP": "address", "IPRANGE": "address"}


class Group(msgspec.Struct, frozen=True, array_like=True):
    """A condition group of an API or resource that is throttled until then (milliseconds since 1970)."""

    key: str
    name: str
    conditions: str
    until: int


class TenantBlock(msgspec.Struct, frozen=True, array_like=True):
    """`tenant` is "" where the block holds for the APIs of every tenant."""

    block: Block
    tenant: str = ""
    identity: str = ""


class Written(msgspec.Struct, frozen=True, array_like=True):
    """All rules, as they stand in memory. A template without `added` was removed; it has its time, against older messages."""

    templates: dict[str, tuple[bool, int]] = {}
    blocks: tuple[TenantBlock, ...] = ()
    groups: tuple[Group, ...] = ()


def read(text: bytes) -> Written:
    """The rules of `Rules.encode`; none for what another version wrote."""
    try:
        return msgspec.msgpack.decode(text, type=Written) if text else Written()
    except msgspec.MsgspecError:
        return Written()


class Rules:
    """The steward's rules. What changes them says False where there was no room."""

    def __init__(self, written: Written) -> None:
        self._templates: Bounded[str, tuple[bool, int]] = Bounded(
            MAX_TEMPLATES, MAX_TEMPLATE_BYTES, lambda text, _: _length(text)
        )
        self._blocks: Bounded[Name, TenantBlock] = Bounded(MAX_BLOCKS, MAX_BLOCK_BYTES, lambda _, one: _block_size(one))
        self._groups: Bounded[tuple[str, str], Group] = Bounded(
            MAX_GROUPS, MAX_GROUP_BYTES, lambda name, one: _length(*name, one.conditions)
        )
        self._identities: dict[tuple[str, str], Name] = {}
        for text, known in written.templates.items():
            self._templates.put(text, known)
        for block in written.blocks:
            self._put_block(block)
        for group in written.groups:
            self._groups.put((group.key, group.name), group)

    def encode(self) -> bytes:
        blocks = tuple(block for _, block in self._blocks.items())
        groups = tuple(group for _, group in self._groups.items())
        return msgspec.msgpack.encode(Written(dict(self._templates.items()), blocks, groups))

    def template(self, said: Template) -> bool:
        """Add or remove a key template, unless something newer was said of it."""
        known = self._templates.get(said.template)
        if known is not None and said.timestamp < known[1]:
            return True
        if not said.added and not said.timestamp:
            self._templates.pop(said.template)
            return True
        return self._put_template(said.template, (said.added, said.timestamp))

    def _put_template(self, text: str, known: tuple[bool, int]) -> bool:
        if self._templates.put(text, known):
            return True
        # Times of those that were removed go first.
        for one, (added, _) in self._templates.items():
            if not added:
                self._templates.pop(one)
        return not known[0] or self._templates.put(text, known)

    def take_templates(self, listed: list[Any]) -> bool:
        """These are all templates there are; those that are gone leave their time behind, against older messages."""
        texts = [one for one in listed if isinstance(one, str) and 0 < len(one) <= MAX_KEY]
        before = dict(self._templates.items())
        self._templates.clear()
        room = True
        for one in dict.fromkeys(texts):
            room &= self._templates.put(one, (True, before.pop(one, (True, 0))[1]))
        for one, (_, when) in before.items():
            if when:
                self._templates.put(one, (False, when))
        return room

    def block(self, said: Blocked) -> bool | None:
        """Set or lift a block; None for one that nobody understands."""
        made = _make_block(said.kind, said.value, said.identity, said.tenant)
        if made is None:
            return None
        self._blocks.pop(_name(made))
        known = self._identities.get((made.block.kind, made.identity)) if made.identity else None
        if known is not None:
            self._blocks.pop(known)
        return self._put_block(made) if said.active else True

    def _put_block(self, made: TenantBlock) -> bool:
        if not self._blocks.put(_name(made), made):
            return False
        if made.identity:
            if len(self._identities) > 2 * MAX_BLOCKS:  # most are of blocks that went
                self._identities = {(one.block.kind, one.identity): name for name, one in self._blocks.items()}
            self._identities[made.block.kind, made.identity] = _name(made)
        return True

    def take_blocks(self, listed: dict[str, Any]) -> tuple[bool, int]:
        """These are all blocks there are: whether there was room, and how many nobody understands."""
        self._blocks.clear()
        self._identities.clear()
        room, misread = True, 0
        for kind, values in listed.items():
            if kind.upper() not in _KINDS:
                continue
            for value in values if isinstance(values, list) else ():
                made = _make_listed(kind.upper(), value)
                if made is None:
                    misread += 1
                else:
                    room &= self._put_block(made)
        return room, misread

    def decide(self, said: Decision) -> bool | None:
        """A condition group is throttled, or is not any more; None where the key is none of a group."""
        found = _GROUP_KEY.fullmatch(said.key)
        if found is None:
            return None
        name = (found.group(1), found.group(2))
        if not said.throttled:
            self._groups.pop(name)
            return True
        return self._groups.put(name, Group(*name, said.conditions, said.until))

    def sweep(self, now_ms: int) -> bool:
        """Let go of condition groups whose time is over; whether there were any."""
        over = [name for name, group in self._groups.items() if group.until <= now_ms]
        for name in over:
            self._groups.pop(name)
        return bool(over)


def _length(*texts: str) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts) + _ENTRY_BYTES


def _block_size(one: TenantBlock) -> int:
    return _length(one.block.value, *one.block.networks, one.identity, one.tenant)


def _name(one: TenantBlock) -> Name:
    block = one.block
    return (block.kind, block.value, block.networks, block.invert, one.tenant)


def _make_listed(kind: str, value: object) -> TenantBlock | None:
    if isinstance(value, str):
        return _make_block(kind, value, "", "")
    if not isinstance(value, dict) or _KINDS.get(kind) != "address":
        return None
    identity, tenant = value.get("id"), value.get("tenantDomain")
    name = str(identity)[:MAX_VALUE] if isinstance(identity, str | int) else ""
    return _make_address(value, name, tenant if isinstance(tenant, str) else "")


def _make_block(kind: str, value: str, identity: str, tenant: str) -> TenantBlock | None:
    known = _KINDS.get(kind)
    if known is None or not value or len(value) > MAX_VALUE:
        return None
    if known != "address":
        return TenantBlock(Block(known, value=value), identity=identity)
    try:
        members = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        members = {"fixedIp": value}
    return _make_address(members, identity, tenant) if isinstance(members, dict) else None


def _make_address(members: dict[str, Any], identity: str, tenant: str) -> TenantBlock | None:
    invert = members.get("invert", False)
    invert = invert.strip().lower() == "true" if isinstance(invert, str) else bool(invert)
    try:
        if members.get("fixedIp"):
            network = _address(members["fixedIp"])
        else:
            network = f"{_address(members['startingIp'])}-{_address(members['endingIp'])}"
        Ranges((network,))
    except (ValueError, KeyError, TypeError):
        return None
    # WSO2 compares the tenant of addresses alone, and has none but the first one here.
    return TenantBlock(Block("address", networks=(network,), invert=invert), tenant or SUPER_TENANT, identity)


def _address(value: object) -> str:
    """An address as text or as a number; raises ValueError."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 64:
            raise ValueError(text)
        return str(ipaddress.ip_address(int(text) if text.isascii() and text.isdecimal() else text))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(ipaddress.ip_address(value))
    raise ValueError(value)
