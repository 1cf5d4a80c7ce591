"""Users in an LDAP directory: found by a search and proved by a bind, or bound at once; their groups become scopes.

Connections are kept and bounded. The password goes to the directory and nowhere else.
"""

from __future__ import annotations

import asyncio
import ssl
from secrets import token_hex
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from microgate.errors import KeyMaterialError, SettingsError
from microgate.runtime.security.passwords.ldap import filters, names
from microgate.runtime.security.passwords.ldap.ber import BerError
from microgate.runtime.security.passwords.ldap.connection import (
    SUCCESS,
    Address,
    Connection,
    LdapError,
    Question,
    connect,
)
from microgate.runtime.security.passwords.ldap.filters import FilterError
from microgate.runtime.security.passwords.turns import Turns
from microgate.runtime.security.passwords.user_stores.store import (
    Answer,
    Attempt,
    Found,
    Refused,
    RemoteStore,
    StoreDownError,
    split_scopes,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microgate.settings.user_stores import UserStore as StoreSettings

T = TypeVar("T")

PORTS = {"ldap": 389, "ldaps": 636}
PAUSE_SECONDS = 1.0  # after a failure nobody waits for the server so long

# Result codes that speak of the server, not of the user (RFC 4511 §4.1.9): operationsError, protocolError, strong
# authentication and confidentiality required, referral, busy, unavailable, loops, other.
_SERVER_CODES = frozenset({1, 2, 7, 8, 10, 13, 51, 52, 54, 80})
_ANYTHING = filters.parse("(objectClass=*)")


class Directory(RemoteStore):
    """Raises SettingsError for a filter that is none, KeyMaterialError for authorities that cannot be read."""

    def __init__(self, settings: StoreSettings) -> None:
        super().__init__(settings)
        self._settings = settings
        self._address = _address(settings)
        self._timeout_s = settings.timeout / 1000
        self._turns = Turns(settings.connections)
        self._search = _filter(settings.search_filter, "searchFilter")
        self._groups = _filter(settings.group_filter, "groupFilter")
        self._scopes = split_scopes(settings.scopes)
        self._attributes = (settings.scope_attribute,) if settings.scope_attribute else ()
        # Those that are bound as who searches, and those that users bind on.
        self._searching: list[Connection] = []
        self._proving: list[Connection] = []
        self._down_until = 0.0

    async def check(self, attempt: Attempt) -> Answer:
        async with self._turns.turn(attempt.address):
            attempt.welcome()
            if monotonic() < self._down_until:
                raise StoreDownError("is not asked for a second, it failed a moment ago")
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._check(attempt)
            except TimeoutError:
                why = f"gave no answer within {self._timeout_s:g} s"
            except (LdapError, BerError) as error:
                why = str(error)
            except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
                why = f"cannot be asked: {_reason(error)}"
            self._down_until = monotonic() + PAUSE_SECONDS
            raise StoreDownError(why)

    async def _check(self, attempt: Attempt) -> Answer:
        if self._settings.user_dn:
            name = names.fill(self._settings.user_dn, attempt.user)
            # A directory does not say whether it is the name or the password; the next store may know the name.
            proved = await self._prove(name, attempt.password)
            if not proved:
                return Refused.UNKNOWN
            return Found(names.prepared(attempt.user), await self._scopes_of(name, attempt.user))
        values = {"user": attempt.user.encode(), "dn": b""}
        question = Question(
            self._settings.search_base, 2, filters.encode(self._search, values), self._attributes, size_limit=2
        )
        entries = await self._use(self._searching, lambda one: one.search(question), self._open_searching)
        if len(entries) != 1:
            # One bind all the same, so that a name that is not there takes as long.
            await self._prove(f"cn={token_hex(8)},{self._settings.search_base}", attempt.password)
            return Refused.UNKNOWN
        name = entries[0].name
        if not name or not await self._prove(name, attempt.password):
            return Refused.WRONG
        scopes = _values(entries[0].attributes, self._settings.scope_attribute)
        return Found(names.prepared(attempt.user), scopes | await self._scopes_of_groups(name, attempt.user))

    async def _prove(self, name: str, password: bytes) -> bool:
        code = await self._use(self._proving, lambda one: one.bind(name, password), self._open)
        if code in _SERVER_CODES:
            raise LdapError(f"refuses to judge a password, with result {code}")
        return code == SUCCESS

    async def _scopes_of(self, name: str, user: str) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        if self._attributes:
            question = Question(name, 0, filters.encode(_ANYTHING, {}), self._attributes)
            entries = await self._use(self._searching, lambda one: one.search(question), self._open_searching)
            for entry in entries:
                found |= _values(entry.attributes, self._settings.scope_attribute)
        return found | await self._scopes_of_groups(name, user)

    async def _scopes_of_groups(self, name: str, user: str) -> frozenset[str]:
        settings = self._settings
        if not settings.group_base:
            return self._scopes
        values = {"user": user.encode(), "dn": name.encode()}
        question = Question(settings.group_base, 2, filters.encode(self._groups, values), (settings.group_attribute,))
        entries = await self._use(self._searching, lambda one: one.search(question), self._open_searching)
        groups = {group for entry in entries for group in entry.attributes.get(settings.group_attribute.lower(), ())}
        if settings.group_scopes:
            return self._scopes.union(*(split_scopes(settings.group_scopes.get(group, "")) for group in groups))
        return self._scopes | groups

    # Connections.

    async def _use(
        self,
        kept: list[Connection],
        ask: Callable[[Connection], Awaitable[T]],
        make: Callable[[], Awaitable[Connection]],
    ) -> T:
        """Ask over a kept connection, or over a new one where there is none or the kept one turns out to be dead."""
        while kept:
            connection = kept.pop()
            if not connection.is_usable:
                connection.abort()
                continue
            try:
                return await self._keeping(kept, connection, ask)
            except (OSError, asyncio.IncompleteReadError, LdapError):
                break
        return await self._keeping(kept, await make(), ask)

    @staticmethod
    async def _keeping(kept: list[Connection], connection: Connection, ask: Callable[[Connection], Awaitable[T]]) -> T:
        try:
            result = await ask(connection)
        except BaseException:
            connection.abort()
            raise
        kept.append(connection)
        return result

    async def _open(self) -> Connection:
        return await connect(self._address)

    async def _open_searching(self) -> Connection:
        connection = await self._open()
        settings = self._settings
        if not settings.bind_dn:
            return connection
        code = -1
        try:
            code = await connection.bind(settings.bind_dn, settings.bind_password.encode())
        finally:
            if code != SUCCESS:
                connection.abort()
        if code != SUCCESS:
            raise LdapError(f"does not let `{settings.bind_dn}` in, with result {code}")
        return connection

    def close(self) -> None:
        for connection in (*self._searching, *self._proving):
            connection.close()
        self._searching.clear()
        self._proving.clear()


def _address(settings: StoreSettings) -> Address:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(settings.url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise SettingsError(f"`userStore.url`: `{settings.url}` is no address of an LDAP server") from None
    secure = parts.scheme == "ldaps"
    tls = None
    if secure or settings.start_tls:
        try:
            tls = ssl.create_default_context(cafile=settings.ca_file or None)
        except OSError as error:
            raise KeyMaterialError(
                f"{settings.ca_file}: the authorities cannot be read: {_reason(error)}", "set `userStore.caFile`"
            ) from None
    return Address(host, port, secure, tls)


def _filter(text: str, key: str) -> filters.Filter:
    try:
        return filters.parse(text)
    except FilterError as error:
        raise SettingsError(f"`userStore.{key}` is no filter: {error}", "write it as in `(uid={user})`") from None


def _values(attributes: dict[str, list[str]], name: str) -> frozenset[str]:
    return frozenset().union(*(split_scopes(value) for value in attributes.get(name.lower(), ())))


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
