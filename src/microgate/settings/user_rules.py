"""Rules for users and their stores: every password is stored in a form that is known, and every store says where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microgate.settings import catalogue
from microgate.settings.stored_passwords import UnknownFormError, read_stored

if TYPE_CHECKING:
    from microgate.settings.model import Settings
    from microgate.settings.rules import Finder
    from microgate.settings.user_stores import UserStore

# What 3.x shipped for `admin`: everybody knows it.
_SHIPPED_PASSWORD = "d033e22ae348aeb5660fc2140aec35850c4da997"  # noqa: S105 - the hash of a password without secret

_HASH_HINT = "`microgate hash-password` prints one"


def users(settings: Settings, finder: Finder) -> None:
    """A password that can never match, or that everybody knows, is a mistake."""
    for name, user in settings.b7a.users.items():
        key = f"b7a.users.{name}.password"
        if not user.password:
            finder.found(
                catalogue.CONTRADICTION, f"b7a.users.{name}.scopes", f"the user `{name}` has no password", _HASH_HINT
            )
        elif user.password.lower() == _SHIPPED_PASSWORD:
            finder.found(catalogue.WEAK, key, f"`{key}` is the one that 3.x was shipped with", _HASH_HINT)
        else:
            try:
                read_stored(user.password)
            except UnknownFormError as error:
                finder.found(catalogue.CONTRADICTION, key, f"`{key}` is no stored password: {error}", _HASH_HINT)


def user_stores(settings: Settings, finder: Finder) -> None:
    """Every store has what its type needs."""
    for index, store in enumerate(settings.user_stores):
        table = f"userStore[{index}]"
        if not finder.is_set(table):
            table = "userStore"  # a single table
        if store.type in {"htpasswd", "sqlite"}:
            _need(store.file, "file", table, store, finder)
        elif store.type == "python":
            _need(store.provider, "provider", table, store, finder)
        else:
            _ldap(store, table, finder)


def _need(value: str, key: str, table: str, store: UserStore, finder: Finder) -> None:
    if not value:
        finder.found(catalogue.CONTRADICTION, table, f"`{table}` is of type `{store.type}` and has no `{key}`")


def _ldap(store: UserStore, table: str, finder: Finder) -> None:
    _need(store.url, "url", table, store, finder)
    scheme, separator, rest = store.url.partition("://")
    host, _, path = rest.partition("/")
    if store.url and (not separator or scheme not in {"ldap", "ldaps"} or not host or path or "@" in host):
        message = f"`{table}.url` is no address of an LDAP server"
        finder.found(catalogue.ADDRESS, f"{table}.url", message, "write `ldaps://host` or `ldap://host:port`")
    elif scheme == "ldaps" and store.start_tls:
        message = f"`{table}.startTls` belongs to `ldap://`; `ldaps://` is TLS from the start"
        finder.found(catalogue.CONTRADICTION, f"{table}.startTls", message)
    elif scheme == "ldap" and not store.start_tls and not host.startswith(("127.", "localhost", "[::1]")):
        message = f"`{table}.url` would send passwords in the clear"
        finder.found(catalogue.CONTRADICTION, f"{table}.url", message, "use `ldaps://`, or set `startTls = true`")
    if bool(store.user_dn) == bool(store.search_base):
        message = f"`{table}` needs either `userDn` or `searchBase`"
        finder.found(catalogue.CONTRADICTION, table, message, "`userDn` binds at once, `searchBase` looks the user up")
    for key, template in (("userDn", store.user_dn), ("searchFilter", store.search_filter)):
        if template and "{user}" not in template:
            finder.found(
                catalogue.CONTRADICTION, f"{table}.{key}", f"`{table}.{key}` has no `{{user}}`, so all users are one"
            )
    if bool(store.bind_dn) != bool(store.bind_password):
        there, missing = ("bindDn", "bindPassword") if store.bind_dn else ("bindPassword", "bindDn")
        finder.found(
            catalogue.CONTRADICTION, f"{table}.{there}", f"`{table}.{there}` is set without `{table}.{missing}`"
        )
