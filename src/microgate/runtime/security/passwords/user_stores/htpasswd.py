"""Users in an htpasswd file of Apache or nginx: `name:stored password` in each line, read again once it has changed."""

from __future__ import annotations

import logging
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from microgate.errors import KeyMaterialError
from microgate.runtime.security.passwords.user_stores.store import Answer, Attempt, UserStore, split_scopes
from microgate.runtime.security.passwords.user_stores.table import Entry, Table
from microgate.settings.stored_passwords import UnknownFormError, read_stored

if TYPE_CHECKING:
    from microgate.runtime.security.passwords.hash_bench import HashBench
    from microgate.settings.user_stores import UserStore as StoreSettings

MAX_FILE_BYTES = 16 << 20
LOOK_EVERY_SECONDS = 1.0

log = logging.getLogger("microgate.security")


MAX_SHOWN = 60  # characters of a user's name
MAX_NUMBERS = 10  # of wrong lines that are told


class HtpasswdFile(UserStore):
    """Raises KeyMaterialError where the file cannot be read at first; later a bad one never replaces a good one."""

    watches = True

    def __init__(self, settings: StoreSettings, bench: HashBench) -> None:
        super().__init__(settings.name or settings.type, settings.cache_time)
        self._file = Path(settings.file)
        self._scopes = split_scopes(settings.scopes)
        self._bench = bench
        self._looked = monotonic()
        self._stamp = self._look()
        try:
            self._table = self._read()
        except OSError as error:
            raise KeyMaterialError(
                f"{settings.file}: the users cannot be read: {error.strerror or error}",
                "set `userStore.file` to a file that the gateway may read",
            ) from None

    async def check(self, attempt: Attempt) -> Answer:
        return await self._table.check(attempt)

    def changed(self) -> bool:
        now = monotonic()
        if now < self._looked + LOOK_EVERY_SECONDS:
            return False
        self._looked = now
        stamp = self._look()
        if stamp == self._stamp:
            return False
        try:
            self._table = self._read()
        except OSError as error:
            log.warning("%s: the users cannot be read, those of before stay: %s", self._file, error.strerror or error)
            self._stamp = stamp
            return False
        self._stamp = stamp
        return True

    def _look(self) -> tuple[int, int, int]:
        try:
            status = self._file.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def _read(self) -> Table:
        with self._file.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise OSError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB")
        entries = {}
        wrong: list[int] = []
        first = ""
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            name, colon, stored = text.partition(":")
            if not colon:
                # It may be anything, a private key too, so nothing of it is told.
                wrong.append(number)
                first = first or "it is no `user:hash`"
                continue
            try:
                entries[name] = Entry(read_stored(stored.partition(":")[0]), self._scopes)
            except UnknownFormError as error:
                wrong.append(number)
                first = first or f"the user `{name[:MAX_SHOWN]}` cannot log in: {error}"
        if wrong:
            others = ", ".join(str(number) for number in wrong[1 : MAX_NUMBERS + 1])
            more = f" and {len(wrong) - 1 - MAX_NUMBERS} more" if len(wrong) - 1 > MAX_NUMBERS else ""
            log.warning("%s:%d: %s%s", self._file, wrong[0], first, f"; wrong too: {others}{more}" if others else "")
        return Table(entries, self._bench)
