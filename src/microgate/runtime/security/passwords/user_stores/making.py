"""Settings become user stores, in their order; the code of a kind is imported only where one is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.errors import about
from microgate.runtime.security.passwords.hash_bench import HashBench
from microgate.runtime.security.passwords.user_stores.table import SettingsUsers

if TYPE_CHECKING:
    from microgate.runtime.extensions import Extensions
    from microgate.runtime.security.passwords.user_stores.store import UserStore
    from microgate.settings.model import Settings
    from microgate.settings.user_stores import UserStore as StoreSettings


def make(settings: Settings, extensions: Extensions, bench: HashBench) -> tuple[UserStore, ...]:
    """`[b7a.users]` first, then the others; raises SettingsError or KeyMaterialError."""
    stores: list[UserStore] = [SettingsUsers(settings, bench)] if settings.b7a.users else []
    return (*stores, *(_one(store, bench, extensions) for store in settings.user_stores))


def prove(settings: Settings) -> None:
    """Raise what `make` would raise, without running the project's Python."""
    bench = HashBench(1)
    SettingsUsers(settings, bench)
    for index, store in enumerate(settings.user_stores):
        if store.type != "python":
            with about(f"userStore[{index}]"):
                _one(store, bench, None)


def _one(settings: StoreSettings, bench: HashBench, extensions: Extensions | None) -> UserStore:
    if settings.type == "htpasswd":
        from microgate.runtime.security.passwords.user_stores.htpasswd import HtpasswdFile

        return HtpasswdFile(settings, bench)
    if settings.type == "sqlite":
        from microgate.runtime.security.passwords.user_stores.sqlite import SqliteDatabase

        return SqliteDatabase(settings, bench)
    if settings.type == "ldap":
        from microgate.runtime.security.passwords.user_stores.directory import Directory

        return Directory(settings)
    from microgate.runtime.security.passwords.user_stores.provider import Provider

    assert extensions is not None
    return Provider(settings, extensions)
