"""How this room asks the services of a traffic manager; who does it in truth is given by the steward, which knows how."""

from __future__ import annotations

from typing import Protocol


class Ask(Protocol):
    """One service, which keeps connections until it is closed."""

    async def __call__(self, below: str, body: bytes) -> tuple[int, bytes]:
        """Ask for a path below the service's address: a POST, or a GET where `body` is b"". Status and body of the answer; raises
        NoAnswer.
        """

    def close(self) -> None: ...


class NoAnswer(Exception):  # noqa: N818 - what happened, as a sentence's end: "cannot be had: it gave no answer"
    """The service gave no answer; the message says why."""
