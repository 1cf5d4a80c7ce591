"""Blocking conditions: callers that a project shuts out whatever their limits are (WSO2 §11.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.plan.model import Block
from microgate.toolkit.openapi.cursor import Located
from microgate.toolkit.project.policies import networks
from microgate.toolkit.project.policies.keys import BLOCKS, MAX_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values

SUBJECTS = ("api", "user", "application", "address", "addresses")


def read(cursor: Cursor, values: Values) -> Iterator[Located[Block]]:
    """Each block with its place."""
    for item in values.first(values.items(cursor), f"{BLOCKS}", MAX_BLOCKS):
        if not values.opened(item, "block"):
            continue
        subjects = [(name, member) for name in SUBJECTS if (member := item.get(name)) is not None]
        if len(subjects) != 1:
            expected = "a mapping with one of `api`, `user`, `application` and `address`"
            values.wrong(item, expected, "write one item for each", f"one with {len(subjects)}")
            continue
        block = _block(item, *subjects[0], values)
        if block is not None:
            yield Located(block, subjects[0][1].spot)


def _block(item: Cursor, name: str, member: Cursor, values: Values) -> Block | None:
    invert = values.flag(item, "invert")
    if name in ("address", "addresses"):
        return Block(kind="address", networks=networks.read(member, values), invert=invert)
    if invert:
        values.wrong(
            item, "a mapping with `address` where it has `invert`", "only addresses can be turned round", "another"
        )
    text = values.text(member)
    if text is None:
        return None
    if name == "api" and not text.startswith("/"):
        values.wrong(member, "a base path, which begins with `/`")
        return None
    if name == "application" and not all(part.strip() for part in (text.partition(":")[0], text.partition(":")[2])):
        values.wrong(member, "`<owner>:<name>` of an application")
    return Block(kind=name, value=(text.rstrip("/") or "/") if name == "api" else text)
