"""Users in an SQLite database, found with the query of the settings. The file is opened for reading, anew for each look, so
that a database that was replaced is seen at once.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import KeyMaterialError, SettingsError
from microgate.runtime.security.passwords import stored_forms as passwords
from microgate.runtime.security.passwords.user_stores.store import (
    Answer,
    Attempt,
    Found,
    Refused,
    RemoteStore,
    StoreDownError,
    split_scopes,
)
from microgate.settings.stored_passwords import Stored, UnknownFormError, read_stored

if TYPE_CHECKING:
    from microgate.runtime.security.passwords.hash_bench import HashBench
    from microgate.settings.user_stores import UserStore as StoreSettings

STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine, after which it is asked whether the time is over


class SqliteDatabase(RemoteStore):
    """Raises KeyMaterialError where the query cannot be run at first."""

    def __init__(self, settings: StoreSettings, bench: HashBench) -> None:
        super().__init__(settings)
        self._address = f"{Path(settings.file).absolute().as_uri()}?mode=ro"
        self._query = settings.query
        self._timeout_s = settings.timeout / 1000
        self._scopes = split_scopes(settings.scopes)
        self._bench = bench
        # What an unknown user costs: as much as the user who was found last.
        self._stand_in = Stored("argon2id", bytes(32), bytes(16), passwords.ARGON2ID_COSTS)
        try:
            self._look_up("")
        except StoreDownError as error:
            raise KeyMaterialError(
                f"the user store `{self.name}` {error}", "set `userStore.file` and `userStore.query`"
            ) from None

    async def check(self, attempt: Attempt) -> Answer:
        return await self._bench.run(attempt, lambda: self._check(attempt))

    def _check(self, attempt: Attempt) -> Answer:
        row = self._look_up(attempt.user)
        if row is None:
            passwords.matches(self._stand_in, attempt.password)
            return Refused.UNKNOWN
        try:
            stored = read_stored(str(row[0]))
            if stored.algorithm == "bcrypt":
                passwords.bcrypt()
        except UnknownFormError as error:
            raise StoreDownError(f"has a stored password that is none: {error}") from None
        except SettingsError as error:
            raise StoreDownError(f"cannot be used: {error}; {error.hint}") from None
        self._stand_in = stored
        if not passwords.matches(stored, attempt.password):
            return Refused.WRONG
        scopes = split_scopes(str(row[1])) if len(row) > 1 and row[1] is not None else frozenset()
        return Found(attempt.user, scopes | self._scopes)

    def _look_up(self, user: str) -> tuple[object, ...] | None:
        deadline = monotonic() + self._timeout_s
        try:
            with closing(sqlite3.connect(self._address, uri=True, timeout=self._timeout_s)) as connection:
                connection.set_progress_handler(lambda: monotonic() > deadline, STEPS_BETWEEN_LOOKS)
                row: tuple[object, ...] | None = connection.execute(self._query, {"user": user}).fetchone()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise StoreDownError(f"cannot be asked: {error}") from None
        return row
