"""Patterns of conditions: whether one can be searched for. They are searched for in linear time, whatever a client sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.project.policies.keys import MAX_PATTERN

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values


def read(cursor: Cursor, values: Values) -> str:
    """A pattern; ones that cannot be used are reported."""
    text = values.text(cursor)
    if text is not None and len(text) > MAX_PATTERN:
        message = f"the pattern is longer than {MAX_PATTERN:,} characters"
        values.say(cursor, catalogue.POLICY_PATTERN, message, "ask for several conditions, or for a shorter part")
    return text or ""
