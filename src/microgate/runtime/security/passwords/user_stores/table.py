"""Users in memory: those of `[b7a.users]`, and what `htpasswd.py` has read."""

from __future__ import annotations

from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, NamedTuple

from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.user_stores.store import (
    Answer,
    Attempt,
    Found,
    Refused,
    UserStore,
    split_scopes,
)
from microgate.settings.stored_passwords import UnknownFormError, read_stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microgate.runtime.security.passwords.hash_bench import HashBench
    from microgate.settings.model import Settings
    from microgate.settings.stored_passwords import Stored


class Entry(NamedTuple):
    stored: Stored
    scopes: frozenset[str]


class Table:
    """Some users. A name that is not there is checked against the password of another one, the same each time, so that its cost
    tells nothing. Raises SettingsError where a package is missing that a stored password needs.
    """

    def __init__(self, entries: Mapping[str, Entry], bench: HashBench) -> None:
        self._entries = dict(entries)
        if any(entry.stored.algorithm == "bcrypt" for entry in self._entries.values()):
            passwords.bcrypt()
        self._stand_ins = [entry.stored for entry in self._entries.values()]
        self._bench = bench
        self._key = token_bytes(16)

    async def check(self, attempt: Attempt) -> Answer:
        entry = self._entries.get(attempt.user)
        if entry is None:
            if self._stand_ins:
                await self._bench.matches(attempt, self._stand_in(attempt.user))
            return Refused.UNKNOWN
        if await self._bench.matches(attempt, entry.stored):
            return Found(attempt.user, entry.scopes)
        return Refused.WRONG

    def _stand_in(self, user: str) -> Stored:
        number = int.from_bytes(blake2b(user.encode(), digest_size=8, key=self._key).digest(), "big")
        return self._stand_ins[number % len(self._stand_ins)]


class SettingsUsers(UserStore):
    """The users of `[b7a.users]`."""

    def __init__(self, settings: Settings, bench: HashBench) -> None:
        super().__init__("b7a.users", float("inf"))
        entries = {}
        for name, user in settings.b7a.users.items():
            try:
                entries[name] = Entry(read_stored(user.password), split_scopes(user.scopes))
            except UnknownFormError:
                continue  # without a password, or the shipped file's: the settings have said so
        self._table = Table(entries, bench)

    async def check(self, attempt: Attempt) -> Answer:
        return await self._table.check(attempt)
