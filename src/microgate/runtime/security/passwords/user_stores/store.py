"""What a user store offers, and what it is asked with. `scheme.py` asks the stores in the order of the settings; each knows only
its own users.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from microgate.settings.user_stores import UserStore as StoreSettings


class Attempt(NamedTuple):
    """One try with a user name and a password. `welcome` raises TokenError once the caller has failed too often."""

    user: str
    password: bytes
    address: str
    welcome: Callable[[], None]


class Found(NamedTuple):
    """A user with the right password."""

    name: str
    scopes: frozenset[str] = frozenset()


class Refused(enum.Enum):
    UNKNOWN = "the store does not know the user"
    WRONG = "it is another password"


Answer: TypeAlias = Found | Refused


class StoreDownError(Exception):
    """The store gave no answer; the message says why, to follow the store's name, and never holds a password."""


class UserStore(ABC):
    """A place with users. An unknown user must take as long as a wrong password does.

    `name` is how logs call it, `cache_s` how long a right password is remembered, `passes_when_down` whether the next store is
    asked where this one gives no answer.
    """

    watches = False  # whether `changed` is worth asking

    def __init__(self, name: str, cache_s: float, *, passes_when_down: bool = False) -> None:
        self.name = name
        self.cache_s = cache_s
        self.passes_when_down = passes_when_down

    @abstractmethod
    async def check(self, attempt: Attempt) -> Answer:
        """Raises StoreDownError, BusyError, and what `Attempt.welcome` raises."""

    def changed(self) -> bool:
        """Whether what was answered before may be wrong now; asked on the event loop, so it must be quick."""
        return False

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections."""


class RemoteStore(UserStore):
    """One of `[[userStore]]` that may give no answer."""

    def __init__(self, settings: StoreSettings) -> None:
        name = settings.name or settings.type
        super().__init__(name, settings.cache_time, passes_when_down=settings.when_down == "next")


def split_scopes(text: str) -> frozenset[str]:
    """Scopes as users write them, with commas or blanks between them."""
    return frozenset(text.replace(",", " ").split())
