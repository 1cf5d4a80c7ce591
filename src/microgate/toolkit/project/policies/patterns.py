"""Patterns of conditions: whether one can be searched for in linear time, as the runtime does whatever a client sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate import patterns
from microgate.toolkit import catalogue
from microgate.toolkit.openapi.tree import shown

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values


def read(cursor: Cursor, values: Values) -> str:
    """A pattern; one that cannot be used is reported."""
    text = values.text(cursor)
    if text is None:
        return ""
    problem = patterns.problem(text)
    if problem:
        values.say(cursor, catalogue.POLICY_PATTERN, f"the pattern `{shown(text)}` cannot be used: {problem}")
    return text
