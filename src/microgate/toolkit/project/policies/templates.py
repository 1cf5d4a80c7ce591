"""Key templates of custom policies: text with `$` variables (WSO2 §11.3). What they stand for is the runtime's business."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from microgate.toolkit import catalogue
from microgate.toolkit.nearest import did_you_mean
from microgate.toolkit.openapi.tree import shown
from microgate.toolkit.project.policies.keys import MAX_TEMPLATE, NAMED_VARIABLES, VARIABLES

if TYPE_CHECKING:
    from microgate.toolkit.openapi.cursor import Cursor
    from microgate.toolkit.project.policies.values import Values

UNSET = "customProperty"  # interceptors and extensions will
_VARIABLE = re.compile(r"\$([A-Za-z0-9_]*)(?:\.([A-Za-z0-9_-]+))?", re.ASCII)
_WORD = re.compile(r"[A-Za-z]+", re.ASCII)


def read(cursor: Cursor, values: Values) -> str:
    """A template; what is wrong with it is reported."""
    text = values.text(cursor)
    if text is None:
        return ""
    message, hint = flaw(text)
    if message:
        values.say(cursor, catalogue.KEY_TEMPLATE, message, hint)
    elif UNSET in variables(text):
        message = f"nothing sets `${UNSET}` yet, and a request without a value is not counted"
        values.say(
            cursor, catalogue.POLICY_WITHOUT_EFFECT, message, f"name a `$claim` or a `$header` in place of `${UNSET}`"
        )
    return text


def variables(text: str) -> set[str]:
    """What a template names, without what stands behind `.`."""
    return {name for name, _ in _VARIABLE.findall(text)}


def flaw(text: str) -> tuple[str, str]:
    """What is wrong with a template, and what to do; two empty texts where nothing is."""
    if len(text) > MAX_TEMPLATE:
        return f"the key template is longer than {MAX_TEMPLATE:,} characters", ""
    known = [*VARIABLES, *NAMED_VARIABLES]
    for name, part in _VARIABLE.findall(text):
        if name in NAMED_VARIABLES and not part:
            return f"`${name}` needs a name behind it", f"write `${name}.NAME`"
        if name not in VARIABLES and name not in NAMED_VARIABLES:
            listed = ", ".join(f"`${one}`" for one in known)
            return f"`${shown(name)}` is no variable", _dollar(did_you_mean(name, known, f"known are {listed}"))
    if "$" not in text:
        meant = next((word for word in _WORD.findall(text) if word in known), "")
        if meant:
            return f"`{meant}` is plain text here, so all callers would share one allowance", f"write `${meant}`"
    return "", ""


def _dollar(hint: str) -> str:
    return hint.replace("did you mean `", "did you mean `$")
