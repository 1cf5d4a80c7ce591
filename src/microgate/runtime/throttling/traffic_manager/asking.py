"""How this room asks the services of a traffic manager; who does it in truth is given by the steward, which knows how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

# The path below the service's address and the body of a POST, b"" for a GET; the status and the body of the answer, or NoAnswer.
Ask: TypeAlias = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]


class NoAnswer(Exception):  # noqa: N818 - what happened, as a sentence's end: "cannot be had: it gave no answer"
    """The service gave no answer; the message says why."""
